SELECT
    date_trunc('day', placed_at)::date AS revenue_day,
    count(*) AS order_count,
    sum(total_cents) / 100.0 AS revenue,
    round(avg(total_cents) / 100.0, 2) AS average_basket
FROM orders
WHERE
    placed_at >= now() - interval '30 days'
    AND status IN ('paid', 'shipped', 'delivered')
GROUP BY date_trunc('day', placed_at)::date
ORDER BY revenue_day;
