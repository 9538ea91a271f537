CREATE INDEX orders_customer_placed_idx ON orders (customer_id, placed_at DESC);

CREATE INDEX orders_open_idx ON orders (placed_at) WHERE status IN ('new', 'paid');

CREATE INDEX order_lines_product_idx ON order_lines (product_id);

CREATE INDEX products_details_idx ON products USING gin (details);
