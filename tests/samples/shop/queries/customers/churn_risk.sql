WITH last_orders AS (
    SELECT
        customer_id,
        max(placed_at) AS last_placed_at,
        count(*) AS order_count
    FROM orders
    WHERE status != 'cancelled'
    GROUP BY customer_id
),

unused_segments AS (
    SELECT customer_id FROM customers WHERE loyalty_level = 'gold'
)

SELECT
    c.customer_id,
    c.email,
    lo.last_placed_at,
    CASE
        WHEN lo.last_placed_at < now() - interval '1 year' THEN 'lost'
        WHEN lo.last_placed_at < now() - interval '6 months' THEN 'at risk'
        ELSE 'active'
    END AS segment
FROM customers AS c
INNER JOIN last_orders AS lo ON c.customer_id = lo.customer_id
WHERE lo.order_count > 1
ORDER BY lo.last_placed_at;
