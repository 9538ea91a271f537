"""Values on their way into a column of another database: the same value, or a refusal."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from pipeline.collect.database.columns import Column, Kind
from pipeline.collect.errors import CollectFailed

_DAY = timedelta(days=1)
_MIDNIGHT = time()
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def adapted(value: Any, column: Column) -> Any:
    """Return the value as the column has it; raises ``CollectFailed`` rather than bend it."""
    if value is None:
        return None
    try:
        return _exact(_ADAPTERS[column.kind](value), column.scale)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise CollectFailed(
            f"A {type(value).__name__} does not fit into the {column.kind} column {column.name!r}"
            " of the target without loss: change the column, or leave it out (columns)."
        ) from None


def _exact(value: Any, scale: int | None) -> Any:
    """The value; raises ``ValueError`` where it has more digits behind the point than that."""
    if scale is None:
        return value
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        # NaN and the infinities have a letter there.
        beyond = exponent + scale if isinstance(exponent, int) else 0
        if beyond < 0 and any(digits[beyond:]):
            raise ValueError(value)
    if isinstance(value, datetime | time) and value.microsecond % 10 ** max(0, 6 - scale):
        raise ValueError(value)
    return value


def _boolean(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise ValueError(value)


def _integer(value: Any) -> int:
    number = int(value)
    if not isinstance(value, str) and number != value:
        raise ValueError(value)
    return number


def _decimal(value: Any) -> Any:
    return Decimal(repr(value) if isinstance(value, float) else value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        raise TypeError(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    raise TypeError(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        if value.time() != _MIDNIGHT:
            raise ValueError(value)
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def _time(value: Any) -> time:
    if isinstance(value, timedelta):
        if not timedelta() <= value < _DAY:
            raise ValueError(value)
        return (_SOME_DAY + value).time()
    return value if isinstance(value, time) else time.fromisoformat(value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, _MIDNIGHT)
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    raise TypeError(value)


def _timestamp(value: Any) -> datetime:
    """A moment with a zone as its UTC reading; without one, as it is."""
    moment = _datetime(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _timestamptz(value: Any) -> datetime:
    """Without a zone it is taken for UTC."""
    moment = _datetime(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_ADAPTERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.FLOAT: float,
    Kind.TEXT: _text,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMPTZ: _timestamptz,
    Kind.JSON: _json,
    Kind.OTHER: lambda value: value,
}
