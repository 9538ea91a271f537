SELECT (a FROM t
;
SELEC x
;
SELECT a  from t
