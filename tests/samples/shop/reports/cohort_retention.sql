WITH first_orders AS (
    SELECT
        customer_id,
        date_trunc('month', min(placed_at)) AS cohort
    FROM orders
    GROUP BY customer_id
),

activity AS (
    SELECT DISTINCT
        o.customer_id,
        f.cohort,
        date_trunc('month', o.placed_at) AS active_month
    FROM orders AS o
    INNER JOIN first_orders AS f ON o.customer_id = f.customer_id
)

SELECT
    cohort,
    active_month,
    count(*) AS customers
FROM activity
GROUP BY cohort, active_month
ORDER BY cohort, active_month;
