--sqlfluff:exclude_rules:LT01,layout.spacing
-- sqlfluff:rules:capitalisation.keywords:capitalisation_policy:lower
SELECT a  FROM b
