"""The one clock and the one source of ids.

Times are aware UTC. What is *due* is judged by the database's clock (``pipeline.store.database``);
this clock serves log lines, ids and the embedded SQLite, which has no clock of its own.
"""

import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from uuid_utils.compat import uuid7


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> uuid.UUID:
    """Return a UUIDv7: unique everywhere, ordered by creation time (RFC 9562)."""
    return uuid7()


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name; ``ValueError`` when there is none."""
    try:
        return ZoneInfo(name)
    # A folder of zones is an OSError, a path is a ValueError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"There is no time zone {name!r}; one is Europe/Berlin.") from None
