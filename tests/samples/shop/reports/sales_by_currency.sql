{# One column for each currency that the shop takes. -#}
SELECT
    p.category_id,
    {% for currency in currencies -%}
        sum(CASE WHEN o.currency = '{{ currency }}' THEN l.unit_price_cents ELSE 0 END) AS {{ currency }}_cents,
    {% endfor -%}
    count(DISTINCT o.order_id) AS order_count
FROM orders AS o
INNER JOIN order_lines AS l ON o.order_id = l.order_id
INNER JOIN products AS p ON l.product_id = p.product_id
WHERE o.placed_at >= '{{ first_day }}'
GROUP BY p.category_id
ORDER BY p.category_id;
