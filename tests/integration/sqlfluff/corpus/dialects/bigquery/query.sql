SELECT x.a,  ARRAY_AGG(STRUCT(b as c)) FROM `p.d.t` AS x, UNNEST(x.items) i GROUP BY 1
