-- do not touch, finance uses it
SELECT c.full_name as Name, c.email as "email", o.*, (select count(*) from order_lines where order_lines.order_id=o.order_id) as lines,
CASE WHEN o.total_cents is null THEN 0 ELSE o.total_cents END as Total
FROM orders o left outer join customers c on c.customer_id=o.customer_id
WHERE o.status<>'cancelled' and extract(MONTH from o.placed_at)=extract(month from NOW()-interval '1 month')
union
select 'all', null, null, null, null, null, null, null, null, sum(total_cents) from orders -- noqa: LT01
order by Name


