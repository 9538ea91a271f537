"""One job's row against its tasks, and the rows that belong to nobody: looked at, then mended."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.core import finishing, transitions
from pipeline.core.rollup import ENDED
from pipeline.states import TERMINAL_JOB, JobState
from pipeline.store.database import as_uuid, dialect, execute, session, stream, transaction

ACTOR = "fsck"

COUNTERS = ("total", *ENDED, "reused")

#: Both at one moment: closers move tasks and counters in one transaction.
_LOOK = f"""
    SELECT {", ".join(f"j.{name}" for name in COUNTERS)}, j.state, j.planned_at IS NOT NULL,
        t.state, count(t.id), sum(CASE WHEN t.reason = 'reused' THEN 1 ELSE 0 END)
    FROM jobs j LEFT JOIN tasks t ON t.job_id = j.id WHERE j.id = %s GROUP BY j.id, t.state
"""

_LAPSED = (
    "SELECT count(*) FROM tasks WHERE state = 'running' AND lease_until < {past}",
    "SELECT count(*) FROM jobs WHERE lease_until < {past}",
)

_HOMELESS = "NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = {table}.job_id)"


@dataclass(frozen=True, slots=True)
class Look:
    """A job's counters as its row tells them and as its tasks do, in the order of ``COUNTERS``."""

    job_id: uuid.UUID
    state: JobState
    is_planned: bool
    told: tuple[int, ...]
    counted: tuple[int, ...]

    @property
    def is_miscounted(self) -> bool:
        """The counters are not what the tasks say."""
        return self.told != self.counted

    @property
    def is_open(self) -> bool:
        """A task is open."""
        total, *ended, _ = self.counted
        return sum(ended) < total

    @property
    def is_left_open(self) -> bool:
        """Nothing of the job is open, and nobody has ended it."""
        return self.state is JobState.RUNNING and self.is_planned and not self.is_open

    @property
    def has_left_over(self) -> bool:
        """The job has ended, and a task has not."""
        return self.state in TERMINAL_JOB and self.is_open


def job_ids() -> Iterator[str]:
    """Yield the ids of all jobs, the oldest first."""
    first = uuid.UUID(int=0).hex
    for (job_id,) in stream("SELECT id FROM jobs WHERE id > %s ORDER BY id LIMIT %s", (first,)):
        yield str(as_uuid(job_id))


def look(job_id: str) -> Look | None:
    """Return what the rows say of the job; None when it is gone."""
    with session():
        rows = execute(_LOOK, uuid.UUID(job_id).hex)
    if not rows:
        return None
    *told, state, is_planned, _, _, _ = rows[0]
    tasks: Counter[str] = Counter({row[-3]: row[-2] for row in rows if row[-3] is not None})
    reused = sum(row[-1] for row in rows if row[-3] == "succeeded")
    counted = (tasks.total(), *(tasks[end] for end in ENDED), reused)
    return Look(uuid.UUID(job_id), JobState(state), bool(is_planned), tuple(told), counted)


def mend(told: Look) -> int:
    """Put right what the look has found, as the rows are now; return how many things that were."""
    mended = 0
    if told.has_left_over:
        mended += _mend_left_over(told.job_id)
    elif told.is_miscounted:
        with transaction():
            mended += _recount(told.job_id)
    if told.is_left_open and transitions.end_if_done(told.job_id, actor=ACTOR):
        finishing.announce(told.job_id)
        mended += 1
    return mended


def _mend_left_over(job_id: uuid.UUID) -> int:
    """Tasks, then their job: the order in which everybody takes locks."""
    with transaction():
        closed = transitions.close_left_over(job_id, actor=ACTOR)
        return bool(closed) + _recount(job_id)


def _recount(job_id: uuid.UUID) -> int:
    """Let the counters be what the tasks say while no closer moves them; 1 if they were not."""
    sql = dialect()
    execute(f"SELECT 1 FROM jobs WHERE id = %s{' FOR UPDATE' if sql.postgres else ''}", job_id.hex)
    now = look(str(job_id))
    if now is None or not now.is_miscounted or now.has_left_over:
        return 0
    columns = ", ".join(f"{name} = %s" for name in COUNTERS)
    execute(f"UPDATE jobs SET {columns} WHERE id = %s", *now.counted, job_id.hex)
    return 1


_OPEN_NEEDS = """
    (SELECT count(*) FROM needs n JOIN tasks m ON m.job_id = n.job_id AND m.seq = n.needs_seq
     WHERE n.job_id = tasks.job_id AND n.seq = tasks.seq AND m.finished_at IS NULL)
"""
#: In the words of the index of what waits.
_WAITS = "finished_at IS NULL AND hinted_at IS NULL AND open_needs > 0"


def wrong_needs(*, mend: bool) -> int:
    """Count, or put right, the tasks whose row says another number of open needs than there are."""
    wrong = f"{_WAITS} AND open_needs <> {_OPEN_NEEDS}"
    with transaction():
        [(number,)] = execute(f"SELECT count(*) FROM tasks WHERE {wrong}")
        if number and mend:
            where = dialect().locked("tasks", wrong)
            execute(f"UPDATE tasks SET open_needs = {_OPEN_NEEDS} WHERE {where}")
    return int(number)


def lapsed_leases(since_s: float) -> int:
    """Count the leases, of tasks and of jobs, that lapsed longer ago and were not taken back."""
    past = dialect().later("%s")
    with session():
        return sum(execute(each.format(past=past), -since_s)[0][0] for each in _LAPSED)


def release_lapsed(since_s: float) -> int:
    """Release the jobs' own leases that lapsed longer ago; those of tasks are the sweep's."""
    return transitions.release_lapsed(since_s, actor=ACTOR)


def homeless_rows(*, remove: bool) -> int:
    """Count, or remove, the tasks and events of jobs that are gone.

    The database refuses to make any; SQLite does so for its own connections only.
    """
    found = 0
    for table in ("tasks", "events"):
        where = f"FROM {table} WHERE {_HOMELESS.format(table=table)}"
        with transaction():
            [(number,)] = execute(f"SELECT count(*) {where}")
            if number and remove:
                execute(f"DELETE {where}")
        found += number
    return found
