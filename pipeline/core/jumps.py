"""What a database clock that jumped leaves in the rows, and what the sweep does about it.

Leases, pauses and hints are times of the database's clock. Set back, it leaves times that lie far
ahead, and nothing would happen until then. Set ahead, it lets leases of live work seem lapsed.
"""

import logging
import time
from dataclasses import dataclass

from pipeline.core.context import Context
from pipeline.store.database import dialect, execute, transaction
from pipeline.store.models import database_now

log = logging.getLogger(__name__)

#: A time that lies this much further ahead than Quayline writes it was another clock's, in seconds.
MARGIN_S = 60.0

OPEN = {"tasks": "state IN ('pending', 'running')", "jobs": "finalized_at IS NULL"}


@dataclass(slots=True)
class _Seen:
    """The database's clock against this machine's monotonic one, as the last sweep saw it."""

    context: Context
    offset_s: float
    distrusted_until: float = 0.0


_seen: _Seen | None = None


def leases_count(context: Context) -> bool:
    """Tell whether a lapsed lease means a lost worker now; mend what a clock set back has left.

    After a jump ahead, live work gets the time of one lease to renew. The first look of a process
    knows no earlier one: it mends, and trusts the leases.
    """
    global _seen
    here = time.monotonic()
    offset_s = _database_time() - here
    asked_s = time.monotonic() - here
    if _seen is None or _seen.context is not context:
        _seen = _Seen(context, offset_s)
        clamp(context)
    jump_s, _seen.offset_s = offset_s - _seen.offset_s, offset_s
    noticed_s = context.settings.lease_s / 3 + asked_s
    if jump_s > noticed_s:
        log.warning("The database's clock jumped ahead", extra={"seconds": jump_s})
        _seen.distrusted_until = here + context.settings.lease_s
    elif jump_s < -noticed_s:
        log.warning("The database's clock was set back", extra={"seconds": -jump_s})
        _follow(jump_s, context)
    return here >= _seen.distrusted_until


def _database_time() -> float:
    return database_now().timestamp()


def _follow(jump_s: float, context: Context) -> None:
    """Set the times of the old clock back with it; a pause begun since then is only shorter."""
    sql = dialect()
    # A lease that was renewed since the jump is live work's.
    ahead_s = {"not_before": 0.0, "lease_until": context.settings.lease_s, "hinted_at": 0.0}
    with transaction():
        for table, is_open in OPEN.items():
            for column, furthest_s in ahead_s.items():
                ahead = f"{is_open} AND {column} > {sql.later('%s')}"
                execute(
                    f"UPDATE {table} SET {column} = {sql.moved(column, '%s')}"
                    f" WHERE {sql.locked(table, ahead)}",
                    *(jump_s, furthest_s),
                )


def clamp(context: Context) -> int:
    """Bring the times that lie too far ahead back to where they count; return how many rows."""
    settings, sql = context.settings, dialect()
    limits = {
        # column: (the furthest that counts, what it becomes), in seconds from now
        "not_before": (settings.backoff_max_s + MARGIN_S, 0.0),
        "lease_until": (settings.lease_s + MARGIN_S, settings.lease_s),
        "hinted_at": (MARGIN_S, 0.0),
    }
    clamped = 0
    with transaction():
        for table, is_open in OPEN.items():
            for column, (furthest_s, becomes_s) in limits.items():
                ahead = f"{is_open} AND {column} > {sql.later('%s')}"
                rows = execute(
                    f"UPDATE {table} SET {column} = {sql.later('%s')}"
                    f" WHERE {sql.locked(table, ahead)} RETURNING id",
                    *(becomes_s, furthest_s),
                )
                clamped += len(rows)
    return clamped
