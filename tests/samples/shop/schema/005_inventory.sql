CREATE TABLE warehouses (
    warehouse_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    country_code char(2) NOT NULL REFERENCES countries (country_code)
);

CREATE TABLE stock (
    warehouse_id integer NOT NULL REFERENCES warehouses (warehouse_id),
    product_id bigint NOT NULL REFERENCES products (product_id),
    quantity integer NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0),  
    counted_at timestamptz,
    PRIMARY KEY (warehouse_id, product_id)
);
