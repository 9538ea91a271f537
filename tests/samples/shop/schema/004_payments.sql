create table payments (
    payment_id bigint generated always as identity primary key,
    order_id   bigint not null references orders(order_id),
    provider   text not null,
    provider_reference text NOT NULL,
    amount_cents integer not null check (amount_cents>0),
    captured_at TIMESTAMPTZ,
    refunded_at TIMESTAMPTZ
);
create unique index payments_reference_key on payments(provider, provider_reference);
