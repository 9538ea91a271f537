"""Who leads: the leases that processes hold by name, as their rows stand."""

from dataclasses import dataclass

from pipeline.store.database import dialect, execute, proxy, session
from pipeline.store.models import as_utc


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease; ``left_s`` below 0: it lapsed so long ago."""

    name: str
    holder: str
    left_s: float


def held(name: str) -> Lease | None:
    """Return the lease of that name; None when nobody ever took it.

    A schema without leases has none.
    """
    with session():
        if not proxy.obj.table_exists("leases"):
            return None
        rows = execute(
            f"SELECT holder, lease_until, {dialect().now} FROM leases WHERE name = %s", name
        )
    if not rows:
        return None
    holder, lease_until, now = rows[0]
    until, moment = as_utc(lease_until), as_utc(now)
    left_s = (until - moment).total_seconds() if until and moment else float("-inf")
    return Lease(name, str(holder or ""), left_s)
