SELECT {{ plus_one(1) }} AS two  FROM t
