SELECT a,  explode(b) FROM t LATERAL VIEW explode(c) x AS y
