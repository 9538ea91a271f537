"""Which jobs somebody may want to follow: whose they are, for whom, and whether they go on."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.core import documents
from pipeline.store.database import as_uuid, dialect, execute, session
from pipeline.store.models import utc_value

#: Larger parameters are not looked into for the user.
MOST_BYTES = 1024 * 1024
#: So many are found at a time.
MOST_FOUND = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """A job; ``user_id`` is for whom it is, where its parameters say so."""

    id: uuid.UUID
    owner: str
    user_id: str | None


_COLUMNS = f"id, owner, CASE WHEN length(parameters) <= {MOST_BYTES} THEN parameters END"


def known(job_ids: Collection[uuid.UUID]) -> list[Known]:
    """Return those of the jobs that are there."""
    if not job_ids:
        return []
    sql = dialect()
    with session():
        rows = execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE {sql.among('id')}", sql.ids(sorted(job_ids))
        )
    return [_known(*row) for row in rows]


def going_on(owners: Collection[str] | None, *, ended_since: datetime | None = None) -> list[Known]:
    """Return the jobs of these owners (None: of all) that go on, or have ended since then; of too
    many the newest."""
    ours = "" if owners is None else f" AND owner IN ({', '.join(['%s'] * len(owners))})"
    told = [] if owners is None else sorted(owners)
    if owners is not None and not told:
        return []
    parts = [f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('pending', 'running'){ours}"]
    parameters: list[Any] = [*told]
    if ended_since is not None:
        parts.append(f"SELECT {_COLUMNS} FROM jobs WHERE finished_at >= %s{ours}")
        parameters += [utc_value(ended_since), *told]
    with session():
        rows = execute(
            f"{' UNION '.join(parts)} ORDER BY id DESC LIMIT %s", *parameters, MOST_FOUND
        )
    return [_known(*row) for row in rows]


def _known(job_id: Any, owner: str, parameters: str | None) -> Known:
    told = documents.loaded(parameters or "{}").get("user_id")
    return Known(as_uuid(job_id), owner, told if isinstance(told, str) and told else None)
