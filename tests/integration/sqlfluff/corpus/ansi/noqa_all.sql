-- noqa: disable=all
select a  FROM t
