select c.customer_id, c.full_name, sum(o.total_cents)/100.0 as spent
from customers c, orders o
where o.customer_id=c.customer_id and o.status <> 'cancelled'
group by 1,2
order by spent desc, c.full_name
limit 50;
