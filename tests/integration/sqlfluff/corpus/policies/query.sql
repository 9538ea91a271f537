SELECT
    a,
    b from t; drop table t;
SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbb FROM t
