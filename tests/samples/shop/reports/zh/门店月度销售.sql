-- 门店月度销售报表：按门店和月份汇总销售额，单位为元
-- 已取消的订单不计入
select
    w.title as 门店,
    date_trunc('month', o.placed_at) as 月份,  -- 以下单时间为准
    count(distinct o.order_id) as 订单数,
    sum(l.quantity * l.unit_price_cents)/100.0 as 销售额
from orders as o
inner join order_lines as l on o.order_id = l.order_id
inner join stock as s on l.product_id = s.product_id
inner join warehouses as w on s.warehouse_id = w.warehouse_id
where o.status != 'cancelled'
group by w.title, date_trunc('month', o.placed_at)
order by w.title, 月份;
