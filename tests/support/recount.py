"""What the rows say, counted without the machine's own code: lost, doubled, left over."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

ENDED = ("succeeded", "failed", "timed_out", "cancelled")


@dataclass(slots=True)
class Recount:
    """The sums over all jobs; a sound database has accepted == terminal and the rest 0."""

    accepted: int = 0
    terminal: int = 0
    tasks: int = 0
    succeeded: int = 0
    lost: int = 0
    doubled: int = 0
    miscounted: int = 0
    leases: int = 0

    @property
    def sound(self) -> bool:
        """Nothing lost, doubled, miscounted or left over."""
        bad = self.lost + self.doubled + self.miscounted + self.leases
        return bad == 0 and self.accepted == self.terminal

    def line(self, what: str, **more: object) -> str:
        """Return the sums as one line."""
        told = {**asdict(self), **more}
        return f"{what}: " + ", ".join(f"{name} {value}" for name, value in told.items())


def recount(url: str, *, expected: dict[str, int] | None = None) -> Recount:
    """Count every job of the database; ``expected`` maps job ids to their number of tasks."""
    with psycopg.connect(url) as connection:
        jobs = _rows(connection, "SELECT * FROM jobs")
        tasks = _rows(connection, "SELECT job_id, seq, state, lease_until FROM tasks")
        events = _rows(connection, "SELECT * FROM events ORDER BY id")
    found = Recount(accepted=len(jobs), tasks=len(tasks))
    known = {str(job["id"]) for job in jobs}
    found.lost += len(set(expected or {}) - known)
    for job in jobs:
        mine = [task for task in tasks if task["job_id"] == job["id"]]
        history = [event for event in events if event["job_id"] == job["id"]]
        wanted = (expected or {}).get(str(job["id"]), len(mine))
        _count_job(found, job, mine, history, wanted)
    return found


def _count_job(
    found: Recount,
    job: dict[str, Any],
    tasks: list[dict[str, Any]],
    events: list[dict[str, Any]],
    wanted: int,
) -> None:
    states = Counter(task["state"] for task in tasks)
    found.terminal += job["finalized_at"] is not None
    found.succeeded += states["succeeded"]
    found.lost += len(set(range(wanted)) - {task["seq"] for task in tasks})
    found.lost += sum(task["state"] not in ENDED for task in tasks)
    found.miscounted += sum(job[state] != states[state] for state in ENDED)
    found.miscounted += job["total"] != len(tasks)
    found.leases += sum(task["lease_until"] is not None for task in tasks)
    found.leases += job["lease_until"] is not None
    found.doubled += _doubled(events)


def _doubled(events: list[dict[str, Any]]) -> int:
    """Effects that happened more often than once: a task closed, the job ended, reports written."""
    closed: Counter[int] = Counter()
    ends = reports = 0
    for event in events:
        if event["subject"] == "tasks" and event["to_state"] in ENDED:
            for first, last in json.loads(event["tasks"]):
                closed.update(range(first, last + 1))
        if event["subject"] == "job" and event["message"] == "reports written":
            reports += 1
        elif event["subject"] == "job" and event["to_state"] != event["from_state"]:
            ends += event["to_state"] not in ("pending", "running")
    return sum(count - 1 for count in closed.values()) + max(0, ends - 1) + max(0, reports - 1)


def _rows(connection: psycopg.Connection[Any], statement: str) -> list[dict[str, Any]]:
    cursor = connection.execute(statement.encode())
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
