"""What came of each time of a schedule: written with the job itself, looked at, pruned."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.core.history import clean
from pipeline.core.schedules.spec import Outcome
from pipeline.store.database import as_json, as_uuid, dialect, execute, session, transaction
from pipeline.store.models import FireRow, as_utc, utc_value

#: Who fires when nobody asked for it.
SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class Fire:
    """One time of a schedule, and what came of it."""

    fire_time: datetime
    fired_at: datetime
    actor: str
    outcome: Outcome
    job_id: uuid.UUID | None
    message: str


def record(
    schedule_id: uuid.UUID,
    fire_time: datetime,
    outcome: Outcome,
    *,
    job_id: uuid.UUID | None = None,
    message: str = "",
    actor: str = SCHEDULER,
) -> bool:
    """Write the row, in the caller's transaction; False when that time has its row already."""
    return bool(
        execute(
            "INSERT INTO schedule_fires"
            " (schedule_id, fire_time, fired_at, actor, outcome, job_id, message)"
            f" VALUES (%s, %s, {dialect().now}, %s, %s, %s, %s)"
            " ON CONFLICT (schedule_id, fire_time) DO NOTHING RETURNING 1",
            *(schedule_id.hex, utc_value(fire_time), actor, str(outcome)),
            *(None if job_id is None else job_id.hex, clean(message)),
        )
    )


def record_skipped(schedule_id: uuid.UUID, times: Sequence[datetime], message: str) -> int:
    """Write the rows of times that are not made up for; return how many had none yet."""
    if not times:
        return 0
    sql = dialect()
    rows = execute(
        "INSERT INTO schedule_fires (schedule_id, fire_time, fired_at, actor, outcome, message)"
        f" SELECT %s, r.at, {sql.now}, %s, %s, %s FROM {sql.rows({'at': 'timestamptz'})}"
        " WHERE 1 = 1 ON CONFLICT (schedule_id, fire_time) DO NOTHING RETURNING 1",
        *(schedule_id.hex, SCHEDULER, str(Outcome.SKIPPED_CATCH_UP), message),
        as_json([{"at": each.isoformat(timespec="microseconds")} for each in times]),
    )
    return len(rows)


def listed(
    schedule_id: uuid.UUID, *, before: datetime | None = None, limit: int = 50
) -> list[Fire]:
    """Return the schedule's fires, the newest first, from before that time on."""
    query = FireRow.select().where(FireRow.schedule_id == schedule_id)
    if before is not None:
        query = query.where(FireRow.fire_time < before)
    with session():
        return [
            Fire(
                **{
                    **{name: getattr(row, name) for name in Fire.__slots__},
                    "outcome": Outcome(row.outcome),
                }
            )
            for row in query.order_by(FireRow.fire_time.desc()).limit(limit)
        ]


def open_jobs(schedule_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the jobs of the schedule that have not ended, the oldest first."""
    rows = execute(
        "SELECT id FROM jobs WHERE state IN ('pending', 'running') AND EXISTS (SELECT 1 FROM"
        " schedule_fires f WHERE f.job_id = jobs.id AND f.schedule_id = %s) ORDER BY id",
        schedule_id.hex,
    )
    return [as_uuid(job_id) for (job_id,) in rows]


_OVER = (
    "f.fire_time < %s AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = f.job_id"
    " AND jobs.state IN ('pending', 'running'))"
)


def count(before: datetime) -> int:
    """Count the fires before then whose job is not open."""
    with session():
        [(number,)] = execute(
            f"SELECT count(*) FROM schedule_fires f WHERE {_OVER}", utc_value(before)
        )
    return int(number)


def prune(before: datetime, limit: int) -> int:
    """Take away up to ``limit`` fires whose time was before that one; return how many.

    Those of jobs that are still open stay: by them the schedule knows that they are its own.
    """
    with transaction():
        rows = execute(
            "DELETE FROM schedule_fires WHERE (schedule_id, fire_time) IN"
            f" (SELECT f.schedule_id, f.fire_time FROM schedule_fires f WHERE {_OVER}"
            " ORDER BY f.fire_time LIMIT %s) RETURNING 1",
            *(utc_value(before), limit),
        )
    return len(rows)


def oldest_due() -> datetime | None:
    """Return the time that is the longest overdue, None when none is: how far firing lags."""
    with session():
        [(found,)] = execute(
            f"SELECT min(next_fire_at) FROM schedules WHERE next_fire_at <= {dialect().now}"
        )
    return as_utc(found)
