"""The one clock and the one source of ids.

Times are aware UTC. What is *due* is judged by the database's clock (``pipeline.store.database``);
this clock serves log lines, ids and the embedded SQLite, which has no clock of its own.
"""

import uuid
from datetime import UTC, datetime

from uuid_utils.compat import uuid7


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> uuid.UUID:
    """Return a UUIDv7: unique everywhere, ordered by creation time (RFC 9562)."""
    return uuid7()
