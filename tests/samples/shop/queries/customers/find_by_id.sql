SELECT
    customer_id,
    email,
    full_name,
    phone,
    country_code,
    loyalty_level
FROM customers
WHERE customer_id = 42;
