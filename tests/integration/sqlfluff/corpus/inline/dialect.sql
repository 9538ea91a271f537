-- sqlfluff:dialect:postgres
-- sqlfluff:rules:LT01,CP01
SELECT a::int,  b from t
