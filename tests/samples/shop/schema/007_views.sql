CREATE VIEW order_totals AS
SELECT o.order_id, o.customer_id, sum(l.quantity * l.unit_price_cents) total_cents
FROM orders o
JOIN order_lines l ON l.order_id = o.order_id
GROUP BY o.order_id, o.customer_id;

CREATE VIEW sellable_products AS
SELECT
    p.product_id,
    p.sku,
    p.title,
    p.price_cents,
    sum(s.quantity - s.reserved) AS available
FROM products AS p
INNER JOIN stock AS s ON p.product_id = s.product_id
WHERE p.is_active
GROUP BY p.product_id, p.sku, p.title, p.price_cents
HAVING sum(s.quantity - s.reserved) > 0;
