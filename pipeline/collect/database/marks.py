"""Values of a position, to be kept as JSON and read back the same."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from pipeline.collect.errors import CollectFailed, ConfigRefused

# Clocks without a zone are so far from UTC, at most.
_LATEST_CLOCK = timedelta(hours=14)
_EARLIEST_CLOCK = timedelta(hours=12)
_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda told: timedelta(microseconds=told),
    "Decimal": Decimal,
    "bytes": bytes.fromhex,
}


def kept(value: Any) -> Any:
    """Return a value as JSON takes it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, timedelta):
        return {"timedelta": value // timedelta(microseconds=1)}
    if isinstance(value, datetime | date | time):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, Decimal):
        return {"Decimal": str(value)}
    raise CollectFailed(f"A {type(value).__name__} cannot be a key or a watermark.")


def read(told: Any) -> Any:
    """Return what was kept."""
    if not isinstance(told, dict):
        return told
    (name, text), *_ = told.items()
    return _READERS[name](text)


def not_beyond(value: Any, now: datetime) -> Any:
    """Return the watermark, or where it lies in the future one that no later change lies before.

    SQLite's moments are text: what is one comes back in the same form.
    """
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    if not isinstance(told, date):
        return value
    moment = told if isinstance(told, datetime) else datetime.combine(told, time())
    if moment.tzinfo is not None:
        latest = earliest = now
    else:
        here = now.astimezone(UTC).replace(tzinfo=None)
        latest, earliest = here + _LATEST_CLOCK, here - _EARLIEST_CLOCK
    if moment <= latest:
        return value
    if isinstance(value, str):
        return earliest.isoformat(sep=value[10:11] or " ")[: None if value[10:] else 10]
    return earliest if isinstance(told, datetime) else earliest.date()


def back(value: Any, overlap: float) -> Any:
    """Return a watermark that lies so many seconds or units before; raises ``ConfigRefused``."""
    if not overlap or value is None:
        return value
    if isinstance(value, datetime):
        return value - timedelta(seconds=overlap)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value - (int(overlap) if overlap == int(overlap) else Decimal(repr(overlap)))
    if isinstance(value, float):
        return value - overlap
    raise ConfigRefused("overlap needs a watermark_column of numbers or timestamps.")
