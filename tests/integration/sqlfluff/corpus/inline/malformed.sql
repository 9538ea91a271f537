-- sqlfluff disable=AM04
-- sqlfluff:disable=AM04
  -- sqlfluff:rules:none
SELECT a  FROM b
