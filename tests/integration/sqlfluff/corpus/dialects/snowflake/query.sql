SELECT src:a.b::string AS c FROM t, LATERAL FLATTEN(input => src:d) QUALIFY row_number() over (order by 1) = 1
