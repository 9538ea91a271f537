SELECT 'open FROM t
