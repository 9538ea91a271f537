SELECT
    o.order_id,
    o.placed_at,
    c.email,
  now() - o.placed_at AS waiting
FROM orders AS o
JOIN customers AS c ON c.customer_id = o.customer_id
WHERE o.status = 'paid'
AND o.shipped_at IS NULL
    AND o.placed_at < now() - interval '3 days'
ORDER BY o.placed_at ASC, 3 DESC;
