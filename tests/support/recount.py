"""What the rows say, counted without the machine's own code: lost, doubled, left over."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

#: The lines of figures of this run, shown together at its end.
LINES: list[str] = []

ENDED = ("succeeded", "failed", "timed_out", "cancelled")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller was promised: so many tasks, all of which succeed but those in ``bad``.

    ``bad`` maps a task's place to ``state`` or ``state/reason``.
    """

    tasks: int
    bad: Mapping[int, str] = field(default_factory=dict)
    #: The job was cancelled or ran out of time: a task may have ended so, or never have come to be.
    is_stopped: bool = False


@dataclass(slots=True)
class Recount:
    """The sums over all jobs; a sound database has accepted == terminal and the bad ones 0."""

    #: Jobs that a caller was told of, or that have a row.
    accepted: int = 0
    #: Jobs that have ended and whose reports stand.
    terminal: int = 0
    tasks: int = 0
    succeeded: int = 0
    #: Accepted jobs without a row, tasks without a row, tasks that never ended.
    lost: int = 0
    #: Tasks that ended otherwise than they had to.
    unexpected: int = 0
    #: Tasks closed again, jobs ended again, reports written again.
    doubled: int = 0
    #: Tasks that were interrupted and ended as they had to all the same.
    recovered: int = 0
    #: Counters of jobs that differ from the count of their tasks.
    miscounted: int = 0
    #: Leases that are held; none may be once all has ended.
    leases: int = 0
    #: What a test finds besides: processes, temporary files, messages.
    leftovers: int = 0

    @property
    def sound(self) -> bool:
        """Nothing lost, unexpected, doubled, miscounted or left over."""
        bad = self.lost + self.unexpected + self.doubled + self.miscounted
        return bad + self.leases + self.leftovers == 0 and self.accepted == self.terminal

    def line(self, what: str, **more: object) -> str:
        """Return the sums as one line."""
        told = {**asdict(self), **more}
        return f"{what}: " + ", ".join(f"{name} {value}" for name, value in told.items())


def recount(url: str, *, expected: Mapping[str, Wanted] | None = None) -> Recount:
    """Count every job of the database; ``expected`` maps the ids of accepted jobs to a promise.

    A job that nobody was told of (its submitter was killed) has to end well, whatever it holds.
    """
    with psycopg.connect(url) as connection:
        jobs = _rows(connection, "SELECT * FROM jobs")
        known = {str(job["id"]) for job in jobs}
        unknown = set(expected or {}) - known
        found = Recount(accepted=len(jobs) + len(unknown), lost=len(unknown))
        for job in jobs:
            _count_job(found, connection, job, (expected or {}).get(str(job["id"])))
    return found


def _count_job(
    found: Recount, connection: psycopg.Connection[Any], job: dict[str, Any], wanted: Wanted | None
) -> None:
    [(total, places, leases, again)] = connection.execute(
        b"SELECT count(*), count(DISTINCT seq), count(lease_until),"
        b" count(*) FILTER (WHERE attempt > 1 AND state = 'succeeded') FROM tasks"
        b" WHERE job_id = %s",
        (job["id"],),
    )
    rows = connection.execute(
        b"SELECT state, count(*) FROM tasks WHERE job_id = %s GROUP BY state", (job["id"],)
    )
    states = Counter(dict(rows.fetchall()))
    found.tasks += total
    found.succeeded += states["succeeded"]
    found.terminal += job["finalized_at"] is not None
    promised = wanted.tasks if wanted and not wanted.is_stopped else total
    found.lost += max(0, promised - places)
    found.lost += states["pending"] + states["running"]
    found.miscounted += sum(job[state] != states[state] for state in ENDED)
    found.miscounted += job["total"] != total
    found.leases += leases + (job["lease_until"] is not None)
    found.unexpected += _unexpected(connection, job, wanted or Wanted(0))
    found.recovered += again
    found.doubled += total - places + _doubled(connection, job)


def _unexpected(connection: psycopg.Connection[Any], job: dict[str, Any], wanted: Wanted) -> int:
    rows = connection.execute(
        b"SELECT seq, state, reason FROM tasks WHERE job_id = %s AND state = ANY(%s)"
        b" AND (state <> 'succeeded' OR seq = ANY(%s))",
        (job["id"], list(ENDED), list(wanted.bad)),
    )
    unexpected = [
        (seq, state, reason)
        for seq, state, reason in rows
        if wanted.bad.get(seq, "succeeded") not in (state, f"{state}/{reason}")
        and not (wanted.is_stopped and state in ("cancelled", "timed_out"))
    ]
    if unexpected:
        print(f"unexpected in job {job['id']}: {unexpected[:5]}, wanted {wanted}")
    return len(unexpected)


def _doubled(connection: psycopg.Connection[Any], job: dict[str, Any]) -> int:
    """Effects that happened more often than once: a task closed, the job ended, reports written."""
    closed: Counter[int] = Counter()
    ends = reports = 0
    events = connection.execute(
        b"SELECT subject, from_state, to_state, message, tasks FROM events WHERE job_id = %s"
        b" ORDER BY id",
        (job["id"],),
    )
    for subject, from_state, to_state, message, tasks in events:
        if subject == "tasks" and to_state in ENDED:
            for first, last in json.loads(tasks):
                closed.update(range(first, last + 1))
        if subject == "job" and message == "reports written":
            reports += 1
        elif subject == "job" and to_state != from_state:
            ends += to_state not in ("pending", "running")
    return sum(count - 1 for count in closed.values()) + max(0, ends - 1) + max(0, reports - 1)


def _rows(connection: psycopg.Connection[Any], statement: str) -> list[dict[str, Any]]:
    cursor = connection.execute(statement.encode())
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
