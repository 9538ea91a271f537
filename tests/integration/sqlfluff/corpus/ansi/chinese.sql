-- 客户表：查询所有有效客户
SELECT a.id,  b.name -- 注释 说明
FROM tbl a
where a.x = '中文文本'
