CREATE TABLE customers (
    customer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    full_name text NOT NULL,
    phone text,
    country_code char(2) NOT NULL REFERENCES countries (country_code),
    marketing_consent boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT customers_email_lowercase CHECK (email = lower(email))
);

CREATE UNIQUE INDEX customers_email_key ON customers (email);

COMMENT ON TABLE customers IS 'One row for each account; guests have a row without a phone.';
