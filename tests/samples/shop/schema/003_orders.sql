CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (customer_id),
    status text NOT NULL DEFAULT 'new',
    placed_at timestamptz NOT NULL DEFAULT now(),
    shipped_at timestamptz,
    currency char(3) NOT NULL DEFAULT 'eur',
    total_cents bigint NOT NULL DEFAULT 0,
    CONSTRAINT orders_status_known CHECK (
        status IN ('new', 'paid', 'shipped', 'delivered', 'returned', 'cancelled')
    )
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders (order_id) ON DELETE CASCADE,
    line_number smallint NOT NULL,
    product_id bigint NOT NULL REFERENCES products (product_id),
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price_cents integer NOT NULL,
    PRIMARY KEY (order_id, line_number)
);
