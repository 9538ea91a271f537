CREATE TABLE addresses (
    address_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (customer_id),
    kind text NOT NULL DEFAULT 'shipping',
    street text NOT NULL,
    postal_code text NOT NULL,
    city text NOT NULL,
    country_code char(2) NOT NULL REFERENCES countries (country_code)
);

INSERT INTO addresses (customer_id, street, postal_code, city, country_code)
SELECT customer_id, split_part(old_address, E'\n', 1), split_part(old_address, E'\n', 2), split_part(old_address, E'\n', 3), country_code
FROM legacy_customers
where old_address is not null;
