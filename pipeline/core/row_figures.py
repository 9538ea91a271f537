"""Figures that rows tell: how many jobs, tasks, containers and dead letters there are, how old is
what waits. One process reads them for all (``schedules/exporter.py``), with few statements.

Labels are kinds, states, queues and hosts, never ids. What may be counted is named also where there
is none of it: a series that appears late is seen too late.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline import clock
from pipeline.core import dead_letters, due, health, leader
from pipeline.core.context import Context
from pipeline.core.health import State
from pipeline.core.kinds import all_kinds
from pipeline.core.schedules import fires, firing
from pipeline.states import TERMINAL_TASK, JobState, TaskState
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import IN_FLIGHT, as_utc


@dataclass(frozen=True, slots=True)
class RowFigure:
    """A gauge by name, text and labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


#: What a collector yields: a gauge, and its values by their labels.
Reading = tuple[RowFigure, Mapping[tuple[str, ...], float]]
Collector = Callable[[Context], Iterator[Reading]]

JOBS = RowFigure("quayline_jobs", "Jobs that are kept.", ("kind", "state"))
TASKS = RowFigure("quayline_tasks", "Tasks of the jobs that are kept.", ("kind", "state"))
DUE_AGE = RowFigure(
    "quayline_oldest_due_seconds",
    "For so long something has been due whose message goes to the queue; 0: nothing is.",
    ("queue",),
)
CONTAINERS = RowFigure(
    "quayline_containers",
    "Containers: placed (not started yet), running, ended (not collected or removed yet).",
    ("host", "state"),
)
HEARTBEAT_AGE = RowFigure(
    "quayline_heartbeat_age_seconds",
    "Age of the oldest last heartbeat among the running containers that send any.",
    ("host",),
)
HOST_UP = RowFigure("quayline_host_up", "1: the container host answers.", ("host",))
HOST_SLOTS = RowFigure("quayline_host_slots", "Containers that the host may run.", ("host",))
DEAD_LETTERS = RowFigure(
    "quayline_dead_letters", "Messages set aside and not sent again.", ("queue",)
)

SCHEDULE_LAG = RowFigure(
    "quayline_schedule_lag_seconds", "The oldest due time of a schedule is so long ago; 0: none is."
)
LEADER = RowFigure("quayline_scheduler_leader", "1: one of the schedulers leads.")
HEALTH = RowFigure(
    "quayline_health", "1: check_health has found it in this state.", ("name", "state")
)
HEALTH_AGE = RowFigure("quayline_health_age_seconds", "So long ago it was looked at.", ("name",))

FIGURES = (
    *(JOBS, TASKS, DUE_AGE, CONTAINERS, HEARTBEAT_AGE, HOST_UP, HOST_SLOTS, DEAD_LETTERS),
    *(SCHEDULE_LAG, LEADER, HEALTH, HEALTH_AGE),
)


def jobs_and_tasks(context: Context) -> Iterator[Reading]:
    """Count jobs, and tasks by their jobs' counters: the table of tasks may be large."""
    with session():
        rows = execute(
            "SELECT kind, state, count(*), sum(total), sum(succeeded), sum(failed),"
            " sum(timed_out), sum(cancelled) FROM jobs GROUP BY kind, state"
        )
        running = dict(
            execute(
                "SELECT kind, sum(number) FROM (SELECT job_id, count(*) AS number FROM tasks"
                f" WHERE {IN_FLIGHT} AND state = 'running' GROUP BY job_id) AS t"
                " JOIN jobs ON jobs.id = t.job_id GROUP BY kind"
            )
        )
    jobs = _zeros(JobState)
    tasks = _zeros(TaskState)
    for kind, state, number, total, *ended in rows:
        jobs[kind, state] = number
        for name, counted in zip(_COUNTED, ended, strict=True):
            tasks[kind, name] += int(counted)
        tasks[kind, TaskState.PENDING] += int(total) - sum(map(int, ended))
    for kind, number in running.items():
        number = float(number)
        tasks[kind, TaskState.RUNNING] += number
        # Two statements: a task may have been claimed between them.
        tasks[kind, TaskState.PENDING] = max(0, tasks[kind, TaskState.PENDING] - number)
    yield JOBS, jobs
    yield TASKS, tasks


_COUNTED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.TIMED_OUT, TaskState.CANCELLED)
assert set(_COUNTED) == TERMINAL_TASK


def _zeros(states: type[JobState] | type[TaskState]) -> defaultdict[tuple[str, ...], float]:
    named: dict[tuple[str, ...], float] = {
        (kind.name, str(state)): 0.0 for kind in all_kinds() for state in states
    }
    return defaultdict(float, named)


def due_ages(context: Context) -> Iterator[Reading]:
    """Tell how long what is due has been due, for each queue that its message goes to."""
    ages: dict[tuple[str, ...], float] = {(queue,): 0.0 for queue in dead_letters.queues()}
    yield DUE_AGE, ages | {(each.queue,): each.oldest_s for each in due.oldest()}


def containers(context: Context) -> Iterator[Reading]:
    """Count containers by host, and tell how the hosts are."""
    with session():
        hosts = execute("SELECT name, slots, away_since IS NULL FROM hosts")
        rows = execute(
            "SELECT host, CASE WHEN ended_at IS NOT NULL THEN 'ended'"
            " WHEN launched_at IS NOT NULL THEN 'running' ELSE 'placed' END AS is_now, count(*),"
            " min(CASE WHEN ended_at IS NULL THEN heartbeat_at END),"
            f" {dialect().now} FROM executions WHERE removed_at IS NULL GROUP BY host, is_now"
        )
    names = {name for name, _, _ in hosts} | {row[0] for row in rows}
    counted: dict[tuple[str, ...], float] = {
        (name, state): 0.0 for name in names for state in ("placed", "running", "ended")
    }
    ages: dict[tuple[str, ...], float] = {(name,): 0.0 for name in names}
    for host, state, number, heartbeat_at, now in rows:
        counted[host, state] = number
        if state == "running" and heartbeat_at is not None:
            ages[host,] = _between(heartbeat_at, now)
    yield CONTAINERS, counted
    yield HEARTBEAT_AGE, ages
    yield HOST_UP, {(name,): float(bool(is_up)) for name, _, is_up in hosts}
    yield HOST_SLOTS, {(name,): float(slots) for name, slots, _ in hosts}


def letters(context: Context) -> Iterator[Reading]:
    """Count the dead letters that nobody has sent again."""
    with session():
        rows = execute(
            "SELECT queue, count(*) FROM dead_letters WHERE replayed_at IS NULL GROUP BY queue"
        )
    found = {(queue,): 0.0 for queue in dead_letters.queues()}
    yield DEAD_LETTERS, found | {(queue,): float(number) for queue, number in rows}


def schedules(context: Context) -> Iterator[Reading]:
    """Tell how far firing lags, and whether somebody leads."""
    oldest, lease = fires.oldest_due(), leader.held(firing.LEASE)
    yield SCHEDULE_LAG, {(): 0.0 if oldest is None else _between(oldest, clock.now())}
    yield LEADER, {(): float(lease is not None and lease.left_s > 0)}


def checks(context: Context) -> Iterator[Reading]:
    """Tell what the last look at health has found."""
    rows = health.latest()
    yield (
        HEALTH,
        {(row.name, str(state)): float(row.state is state) for row in rows for state in State},
    )
    yield HEALTH_AGE, {(row.name,): row.age_s for row in rows}


def _between(since: datetime | str, now: Any) -> float:
    then, at = as_utc(since), as_utc(now)
    return max(0.0, (at - then).total_seconds()) if at and then else 0.0


#: Each is read by itself: where one fails, the others are told. A new one is a line here.
COLLECTORS: dict[str, Collector] = {
    "jobs": jobs_and_tasks,
    "queues": due_ages,
    "containers": containers,
    "dead_letters": letters,
    "schedules": schedules,
    "health": checks,
}


def collectors() -> dict[str, Collector]:
    """Return all of them, with those that a kind brings for its own rows (``collectors``)."""
    return COLLECTORS | {name: each for kind in all_kinds() for name, each in kind.collectors()}
