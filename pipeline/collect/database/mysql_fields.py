"""Fields of an answer of MySQL or MariaDB, as columns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pymysql.constants import FIELD_TYPE, FLAG

from pipeline.collect.database.columns import Column, Kind

_BINARY_CHARSET = 63
_KINDS = {
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24), Kind.INTEGER),
    **dict.fromkeys((FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR), Kind.INTEGER),
    **dict.fromkeys((FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE), Kind.FLOAT),
    **dict.fromkeys((FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL), Kind.DECIMAL),
    FIELD_TYPE.TIMESTAMP: Kind.TIMESTAMPTZ,
    FIELD_TYPE.DATETIME: Kind.TIMESTAMP,
    FIELD_TYPE.DATE: Kind.DATE,
    FIELD_TYPE.TIME: Kind.TIME,
    FIELD_TYPE.JSON: Kind.JSON,
}
_CLOCKS = frozenset({FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATETIME, FIELD_TYPE.TIME})


def column_of(told: Any) -> Column:
    """Return the column that a field packet of the driver describes."""
    name, code = told.name, told.type_code
    unsigned, binary = bool(told.flags & FLAG.UNSIGNED), told.charsetnr == _BINARY_CHARSET
    if code == FIELD_TYPE.BIT:
        return Column(name, Kind.BOOLEAN if told.length == 1 else Kind.DECIMAL, 20, 0, "bit")
    if code == FIELD_TYPE.TINY and told.length == 1:
        return Column(name, Kind.BOOLEAN)
    if code == FIELD_TYPE.LONGLONG and unsigned:
        return Column(name, Kind.DECIMAL, 20, 0)
    if code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        # The length counts the sign and the point, too.
        digits = told.length - (not unsigned) - (told.scale > 0)
        return Column(name, Kind.DECIMAL, digits, told.scale)
    if code in _KINDS:
        native = "float" if code == FIELD_TYPE.FLOAT else None
        scale = told.scale if code in _CLOCKS else None
        return Column(name, _KINDS[code], scale=scale, native=native)
    native = "enum" if told.flags & (FLAG.ENUM | FLAG.SET) else None
    return Column(name, Kind.BYTES if binary else Kind.TEXT, native=native)


def reader_of(column: Column) -> Callable[[Any], Any] | None:
    """Return what makes a value of the driver the column's, or None where it is that already."""
    if column.kind is Kind.TIMESTAMPTZ:
        return lambda value: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
    if column.native == "bit":
        return lambda value: int.from_bytes(value)
    return None
