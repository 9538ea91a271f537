"""One of several processes leads: whose name stands in the lease's row until it lapses.

The lease is a row that is taken and renewed by one statement, judged by the database's clock. What
a leader writes asks for the lease again in its own transaction (``holds``), so that one that was
held up and does not know yet that it leads no more writes nothing.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from pipeline.clock import new_id
from pipeline.settings import Settings
from pipeline.store.database import dialect, execute, session, transaction
from pipeline.store.models import moment

#: A lease that ends so much further ahead than leases last was written under another clock.
MARGIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Whose it is; ``left_s`` below 0: it lapsed so long ago."""

    holder: str
    left_s: float


def lead(name: str, settings: Settings, *, lease_s: float) -> bool:
    """Take the lease or renew it; False while somebody else has it."""
    sql = dialect()
    lapsed = f"leases.lease_until < {sql.now} OR leases.lease_until > {sql.later('%s')}"
    with transaction():
        rows = execute(
            "INSERT INTO leases (name, holder, taken_at, lease_until)"
            f" VALUES (%s, %s, {sql.now}, {sql.later('%s')})"
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,"
            " lease_until = excluded.lease_until, taken_at = CASE"
            " WHEN leases.holder = excluded.holder THEN leases.taken_at ELSE excluded.taken_at END"
            f" WHERE leases.holder = excluded.holder OR {lapsed} RETURNING holder",
            *(name, holder(settings), lease_s, lease_s + MARGIN_S),
        )
    return bool(rows)


def holds(name: str, settings: Settings) -> tuple[str, tuple[str, str]]:
    """Return SQL that is true while this process leads, and its parameters."""
    sql = (
        "EXISTS (SELECT 1 FROM leases WHERE leases.name = %s AND leases.holder = %s"
        f" AND leases.lease_until > {dialect().now})"
    )
    return sql, (name, holder(settings))


def release(name: str, settings: Settings) -> bool:
    """Let somebody else lead at once; False when this process did not."""
    with transaction():
        return bool(
            execute(
                "DELETE FROM leases WHERE name = %s AND holder = %s RETURNING name",
                *(name, holder(settings)),
            )
        )


def held(name: str) -> Lease | None:
    """Return the lease as it stands, lapsed or not; None when nobody leads or ever led."""
    with session():
        rows = execute(
            f"SELECT holder, lease_until, {dialect().now} FROM leases WHERE name = %s", name
        )
    if not rows:
        return None
    of, lease_until, now = rows[0]
    return Lease(of, (moment(lease_until) - moment(now)).total_seconds())


def holder(settings: Settings) -> str:
    """Return the name of this process, which no other has, nor a later one with its id."""
    return f"{settings.worker_name}/{_own(os.getpid())}"


@lru_cache(maxsize=1)
def _own(pid: int) -> str:
    return new_id().hex
