"""Values of a position, to be kept as JSON and read back the same."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from pipeline.collect.errors import CollectFailed, ConfigRefused

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
