SELECT *
FROM orders as o
LEFT JOIN order_lines as l using (order_id)
WHERE o.order_id = 42
