"""One look at the schedules whose time has come.

A leader alone looks. A time's row, its job's row and the schedule's next time are written in one
transaction, in which the lease is asked for once more; the row's key lets no time have two. Jobs
are rung after the commit, and one that was not is found by the sweep: so a broker that is away, or
a process that ends between any two lines, costs no fire.
"""

import logging
import uuid
from dataclasses import asdict
from datetime import datetime

from pipeline.core import leader
from pipeline.core.context import Context
from pipeline.core.schedules import fires, rows
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import Outcome
from pipeline.core.schedules.turn import Fired, Turn, tell
from pipeline.errors import Permanent, Refused, Transient
from pipeline.store.database import as_uuid, dialect, execute, session, transaction
from pipeline.store.models import ScheduleRow, utc_value

log = logging.getLogger(__name__)

#: The lease whose holder fires.
LEASE = "scheduler"

#: More than anybody has.
MOST_SCHEDULES = 1_000_000


def run_due(context: Context) -> Fired:
    """Act on every schedule whose time has come, while this process leads."""
    fired = Fired()
    if not leads(context):
        return fired
    now = rows.database_now()
    _heed_clock(now)
    for schedule_id in _due(now):
        if not leads(context):
            break
        try:
            _act(schedule_id, now, fired, context)
        except Transient:
            raise
        except (Refused, Permanent) as error:
            _switch_off(schedule_id, now, error)
        except Exception:
            log.exception("A schedule failed", extra={"schedule_id": str(schedule_id)})
    if any(asdict(fired).values()):
        log.info("Fired", extra=asdict(fired))
    return fired


def leads(context: Context) -> bool:
    """Tell whether this process is the one that fires; the lease is taken or renewed by it."""
    return leader.lead(LEASE, context.settings, lease_s=context.settings.schedule_lease_s)


def leave(context: Context) -> None:
    """Let another process fire, at once."""
    leader.release(LEASE, context.settings)


def _due(now: datetime) -> list[uuid.UUID]:
    """Return the schedules whose time has come, the longest overdue first."""
    with session():
        found = execute(
            "SELECT id FROM schedules WHERE next_fire_at <= %s ORDER BY next_fire_at",
            utc_value(now),
        )
    return [as_uuid(schedule_id) for (schedule_id,) in found]


def _act(schedule_id: uuid.UUID, now: datetime, fired: Fired, context: Context) -> None:
    with transaction():
        schedule = _mine(schedule_id, now, context)
        if schedule is None:
            return
        done = Turn(schedule, now, context).take(fired)
    tell(schedule, done)


def _mine(schedule_id: uuid.UUID, now: datetime, context: Context) -> Schedule | None:
    """Hold the schedule's row until the transaction ends; None when somebody else was first, or
    when this process leads no more."""
    leading, parameters = leader.holds(LEASE, context.settings)
    lock = " FOR UPDATE" if dialect().postgres else ""
    if not execute(
        f"SELECT 1 FROM schedules WHERE id = %s AND next_fire_at <= %s AND {leading}{lock}",
        *(schedule_id.hex, utc_value(now), *parameters),
    ):
        return None
    return rows.as_schedule(ScheduleRow.get_by_id(schedule_id))


def _switch_off(schedule_id: uuid.UUID, now: datetime, error: Exception) -> None:
    """A schedule that nobody can read would be looked at for ever; its history tells why."""
    log.error(
        "A schedule cannot be read and is switched off",
        extra={"schedule_id": str(schedule_id), "error": str(error)},
    )
    with transaction():
        execute(
            "UPDATE schedules SET enabled = 0, next_fire_at = NULL WHERE id = %s", schedule_id.hex
        )
        message = f"It was switched off: {error}"
        fires.record(schedule_id, now, Outcome.REFUSED, message=message)


_seen: datetime | None = None


def _heed_clock(now: datetime) -> None:
    """When the database's clock was set back, no schedule waits for a time that lies too far ahead.

    A time that comes again has its row already. The first look of a process knows no earlier one.
    """
    global _seen
    before, _seen = _seen, now
    if before is not None and now >= before:
        return
    for schedule in rows.listed(limit=MOST_SCHEDULES):
        try:
            _bring_back(schedule, now)
        except Refused:
            # Its own turn will tell.
            continue


def _bring_back(schedule: Schedule, now: datetime) -> None:
    if schedule.next_fire_at is None or schedule.next_fire_at <= now:
        return
    following = schedule.times.after(now)
    if following is not None and following < schedule.next_fire_at:
        with transaction():
            execute(
                "UPDATE schedules SET next_fire_at = %s WHERE id = %s AND next_fire_at > %s",
                *(utc_value(following), schedule.id.hex, utc_value(following)),
            )
