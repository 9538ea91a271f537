SELECT
    p.sku,
    p.title,
    w.title AS warehouse,
    s.quantity - s.reserved AS available
FROM stock AS s
INNER JOIN products AS p ON s.product_id = p.product_id
INNER JOIN warehouses AS w ON s.warehouse_id = w.warehouse_id
WHERE s.quantity - s.reserved < 5
ORDER BY s.quantity - s.reserved, p.sku;
