CREATE OR REPLACE FUNCTION apply_discount(price_cents integer, percent numeric)
RETURNS integer
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT greatest(0, round(price_cents * (1 - percent / 100)))::integer
$$;

select apply_discount(1999,15)   as discounted , Apply_Discount( 500, 120 ) as free;
