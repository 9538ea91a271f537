SELECT
    p.product_id,
    p.sku,
    p.title,
    c.title AS category_title,
    p.price_cents,
    p.details ->> 'colour' AS colour
FROM products AS p
INNER JOIN categories AS c ON p.category_id = c.category_id
WHERE p.product_id = 42;
