SELECT DISTINCT
    (p.product_id),
    p.Title,
    ts_rank(to_tsvector('english', p.title), query) AS rank
FROM products AS p, plainto_tsquery('english', 'garden chair') AS query
WHERE to_tsvector('english', p.title) @@ query AND p.is_active = TRUE
ORDER BY rank DESC
LIMIT 20;
