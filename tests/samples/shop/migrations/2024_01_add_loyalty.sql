BEGIN;

ALTER TABLE customers ADD COLUMN loyalty_points integer NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN loyalty_level text NOT NULL DEFAULT 'bronze';

UPDATE customers
SET loyalty_level = 'silver'
WHERE customer_id IN (
    SELECT orders.customer_id
    FROM orders
    GROUP BY orders.customer_id
    HAVING count(*) >= 10
);

COMMIT;
