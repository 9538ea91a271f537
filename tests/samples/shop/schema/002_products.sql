CREATE TABLE categories (
    category_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id integer REFERENCES categories (category_id),
    title text NOT NULL
);

CREATE TABLE products (
    product_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    category_id integer NOT NULL REFERENCES categories (category_id),
    sku text NOT NULL UNIQUE,
    title text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'::jsonb,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    is_active boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
