SELECT a  from t -- noqa
SELECT b  from t -- noqa: LT01
-- noqa: disable=CP01
select c FROM t
-- noqa: enable=all
select  d FROM t -- noqa: XX99
