"""A sum over keys that does not depend on their order, nor on the database they are in."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pipeline.collect.database.connection import Row

_MODULUS = 2**128


def checksum(keys: Iterable[Row]) -> str:
    """Return the sum of the digests of all keys."""
    total = 0
    for key in keys:
        text = "\0".join(f"{len(part)}:{part}" for part in map(_canonical, key))
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
    return f"{total % _MODULUS:032x}"


def _canonical(value: Any) -> str:
    if isinstance(value, bool | int | float | Decimal):
        number = Decimal(repr(value) if isinstance(value, float) else value)
        return f"{number.normalize():f}" if number else "0"
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
