"""The access log: a row for each request that was answered, written in batches.

A message carries the batch itself: nothing else knows of these requests. A record's id is made
once, where the request was answered, and begins with its time; so a batch that is told twice is
stored once, and the primary key is the order of the log.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from pipeline import clock
from pipeline.core.history import clean
from pipeline.store.database import (
    as_json,
    as_uuid,
    changed,
    dialect,
    execute,
    session,
    transaction,
)
from pipeline.store.models import database_now, moment

QUEUE = "access_log"
#: What the retention calls it.
KEPT_AS = "access_log"
ACTOR = "store_access_log"

#: Records in one message: some 60 KB, at most a megabyte.
MOST_IN_BATCH = 200
MOST_PATH = 500
MOST_TEXT = 200

#: A UUIDv7 of before the year 2109: beyond, a calendar could end.
_ID = r"^0[0-3][0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

Text = Annotated[str, Field(max_length=MOST_TEXT)]
#: A week is more than any request takes.
Milliseconds = Annotated[float, Field(ge=0, le=7 * 86_400_000.0)]


@with_config(ConfigDict(extra="forbid", strict=True))
class Record(TypedDict):
    """A request that was answered; ``id`` holds its time."""

    id: Annotated[str, Field(pattern=_ID)]
    method: Annotated[str, Field(max_length=20)]
    path: Annotated[str, Field(max_length=MOST_PATH)]
    route: Text
    status_code: Annotated[int, Field(ge=0, le=999)]
    response_time_ms: Milliseconds
    user_id: Text | None
    resource_type: Text | None
    resource_id: Text | None
    ip_address: Text | None
    request_id: Text
    user_agent: Text | None


#: The argument of ``store_access_log``.
Batch = Annotated[list[Record], Field(max_length=MOST_IN_BATCH)]

_COLUMNS = {
    **{"id": "uuid", "at": "timestamptz", "method": "text", "path": "text", "route": "text"},
    **{"status_code": "smallint", "response_time_ms": "double precision", "user_id": "text"},
    **{"resource_type": "text", "resource_id": "text", "ip_address": "text"},
    **{"request_id": "text", "user_agent": "text"},
}
_NAMES = ", ".join(_COLUMNS)


def store(batch: Sequence[Record]) -> int:
    """Every record has its row; return how many had none before."""
    if not batch:
        return 0
    rows = [_row(record) for record in sorted(batch, key=lambda record: record["id"])]
    picked = ", ".join(f"r.{name}" for name in _COLUMNS)
    with transaction():
        return changed(
            f"INSERT INTO access_log ({_NAMES}) SELECT {picked} FROM {dialect().rows(_COLUMNS)}"
            " WHERE 1 = 1 ON CONFLICT (id) DO NOTHING",
            as_json(rows),
        )


def _row(record: Record) -> dict[str, Any]:
    told = {
        name: clean(value) if isinstance(value, str) else value for name, value in record.items()
    }
    made = uuid.UUID(record["id"])
    at = clock.time_of(made)
    return {**told, "id": made.hex, "at": at.isoformat(timespec="microseconds")}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests: those of a time, and of what is named here; None names nothing."""

    since: datetime
    until: datetime
    user_id: str | None = None
    method: str | None = None
    path_prefix: str | None = None
    status_class: int | None = None
    resource_type: str | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A row of the log."""

    id: uuid.UUID
    at: datetime
    method: str
    path: str
    route: str
    status_code: int
    response_time_ms: float
    user_id: str | None
    resource_type: str | None
    resource_id: str | None
    ip_address: str | None
    request_id: str
    user_agent: str | None


def listed(wanted: Wanted, *, before: uuid.UUID | None = None, limit: int = 100) -> list[Access]:
    """Return the requests, the newest first, from before that one on."""
    first, last = clock.least_id(wanted.since), clock.least_id(wanted.until)
    if before is not None:
        last = min(last, before)
    told: list[tuple[str, Any]] = [("id >= %s", first.hex), ("id < %s", last.hex)]
    for name in ("user_id", "method", "resource_type", "resource_id"):
        if (value := getattr(wanted, name)) is not None:
            told.append((f"{name} = %s", value))
    if wanted.status_class is not None:
        told.append(("status_code / 100 = %s", wanted.status_class))
    where = [sql for sql, _ in told]
    values = [value for _, value in told]
    if wanted.path_prefix is not None:
        where.append("substr(path, 1, %s) = %s")
        values += [len(wanted.path_prefix), wanted.path_prefix]
    with session():
        rows = execute(
            f"SELECT {_NAMES} FROM access_log WHERE {' AND '.join(where)}"
            " ORDER BY id DESC LIMIT %s",
            *(*values, limit),
        )
    return [_access(row) for row in rows]


def _access(row: tuple[Any, ...]) -> Access:
    row_id, at, *rest = row
    return Access(as_uuid(row_id), moment(at), *rest)


def count(kept_s: float) -> int:
    """Count the requests that are older."""
    with session():
        [(number,)] = execute("SELECT count(*) FROM access_log WHERE id < %s", _before(kept_s).hex)
    return int(number)


def prune(kept_s: float, limit: int) -> int:
    """Take away up to ``limit`` requests that are older, the oldest first; return how many."""
    with transaction():
        return changed(
            "DELETE FROM access_log WHERE id IN"
            " (SELECT id FROM access_log WHERE id < %s ORDER BY id LIMIT %s)",
            *(_before(kept_s).hex, limit),
        )


def _before(kept_s: float) -> uuid.UUID:
    return clock.least_id(database_now() - timedelta(seconds=kept_s))
