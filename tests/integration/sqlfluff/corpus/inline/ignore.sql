-- sqlfluff:ignore:parsing
-- sqlfluff:warnings:LT01
SELEC a  FROM b
