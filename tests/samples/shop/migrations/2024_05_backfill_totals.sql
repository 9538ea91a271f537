UPDATE orders AS o
SET total_cents = sums.total_cents
FROM (
    SELECT
        order_id,
        sum(quantity * unit_price_cents) AS total_cents
    FROM order_lines
    GROUP BY order_id
) AS sums
WHERE
    o.order_id = sums.order_id
    AND o.total_cents != sums.total_cents;
