"""What the machine did on one day: jobs, their tasks, times, results, containers, messages.

Tasks and containers are counted with the job they belong to, on the day on which that ended: the
counters of jobs are few rows, found by an index, where the tasks of a day may be millions.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pipeline import clock
from pipeline.core.kinds import all_kinds
from pipeline.core.statistics.figures import Figure
from pipeline.core.statistics.spread import seconds, spread
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import utc_value

#: Clocks of those who submit and of the database differ by less.
SLACK = timedelta(days=1)

_ENDED = "FROM jobs WHERE finished_at >= %s AND finished_at < %s"
_COUNTED = ("succeeded", "failed", "timed_out", "cancelled")
_BY_KIND = {"kind": "kind"}


def system_figures(start: datetime, end: datetime) -> Iterator[Figure]:
    """Yield the figures of the time from ``start`` to before ``end``."""
    told = (utc_value(start), utc_value(end))
    yield from _submitted(start, end)
    yield from _ended(told)
    yield from spread(
        "job_duration_seconds", seconds("finished_at", "started_at"), _ENDED, told, _BY_KIND
    )
    yield from spread(
        "job_wait_seconds", seconds("started_at", "created_at"), _ENDED, told, _BY_KIND
    )
    for kind in all_kinds():
        if kind.figures:
            yield from _results(kind.name, kind.figures, told)
        yield from kind.statistics(start, end)
    yield from _containers(told)
    yield from _counted(
        "dead_letters", "queue", "FROM dead_letters WHERE found_at >= %s AND found_at < %s", told
    )
    yield from _counted(
        *("schedule_fires", "outcome"),
        "FROM schedule_fires WHERE fire_time >= %s AND fire_time < %s",
        told,
    )
    yield from _stored(told)


Times = tuple[object, object]


def _submitted(start: datetime, end: datetime) -> Iterator[Figure]:
    # Ids begin with the time of their making: that range is what is read, by the primary key.
    rows = "FROM jobs WHERE id >= %s AND id < %s AND created_at >= %s AND created_at < %s"
    least, past = clock.least_id(start - SLACK), clock.least_id(end + SLACK)
    told = (least.hex, past.hex, utc_value(start), utc_value(end))
    with session():
        [(owners,)] = execute(f"SELECT count(DISTINCT owner) {rows}", *told)
        found = execute(f"SELECT kind, count(*) {rows} GROUP BY kind", *told)
    yield Figure("job_owners", owners)
    for kind, number in found:
        yield Figure("jobs_submitted", number, {"kind": kind})


def _ended(told: Times) -> Iterator[Figure]:
    sums = ", ".join(f"sum({each})" for each in _COUNTED)
    with session():
        rows = execute(
            f"SELECT kind, state, count(*) {_ENDED} GROUP BY kind, state",
            *told,
        )
        tasks = execute(f"SELECT kind, {sums}, sum(reused) {_ENDED} GROUP BY kind", *told)
    for kind, state, number in rows:
        yield Figure("jobs_ended", number, {"kind": kind, "state": state})
    for kind, *counted, reused in tasks:
        for state, number in zip(_COUNTED, counted, strict=True):
            yield Figure("tasks_ended", float(number), {"kind": kind, "state": state})
        yield Figure("tasks_reused", float(reused), {"kind": kind})


def _results(kind: str, named: tuple[tuple[str, str], ...], told: Times) -> Iterator[Figure]:
    """Add up numbers that stand in the results of a kind's jobs; one that has none adds nothing."""
    sums = ", ".join(f"coalesce(sum({_number(path)}), 0)" for _, path in named)
    with session():
        [row] = execute(f"SELECT {sums} {_ENDED} AND kind = %s AND result IS NOT NULL", *told, kind)
    for (name, _), value in zip(named, row, strict=True):
        yield Figure(name, float(value), {"kind": kind})


def _number(path: str) -> str:
    """Return SQL of the number at ``a.b.c`` in a job's result; NULL where there is none."""
    parts = path.split(".")
    assert all(part.isidentifier() for part in parts), path
    if dialect().postgres:
        place = f"result::json #> '{{{','.join(parts)}}}'"
        # A name with its cast is read only where it is a number.
        return f"CASE WHEN json_typeof({place}) = 'number' THEN ({place})::text::numeric END"
    place = f"'$.{path}'"
    is_number = f"json_type(result, {place}) IN ('integer', 'real')"
    return f"CASE WHEN {is_number} THEN json_extract(result, {place}) END"


def _containers(told: Times) -> Iterator[Figure]:
    rows = (
        "FROM executions e JOIN (SELECT id AS ended_id FROM jobs WHERE finished_at >= %s"
        " AND finished_at < %s) j ON j.ended_id = e.job_id WHERE e.ended_at IS NOT NULL"
    )
    with session():
        found = execute(
            "SELECT host, count(*), sum(CASE WHEN exit_code = 0 THEN 0 ELSE 1 END),"
            f" coalesce(sum({seconds('ended_at', 'launched_at')}), 0) {rows} GROUP BY host",
            *told,
        )
    for host, number, badly, took_s in found:
        yield Figure("containers_ended", number, {"host": host})
        yield Figure("containers_ended_badly", float(badly), {"host": host})
        yield Figure("container_seconds", float(took_s), {"host": host})


def _stored(told: Times) -> Iterator[Figure]:
    size = "octet_length(body)" if dialect().postgres else "length(body)"
    with session():
        [(number, size_bytes)] = execute(
            f"SELECT count(*), coalesce(sum({size}), 0) FROM results"
            " WHERE created_at >= %s AND created_at < %s",
            *told,
        )
    yield Figure("results_stored", number)
    yield Figure("results_stored_bytes", float(size_bytes))


def _counted(name: str, column: str, rows: str, told: Times) -> Iterator[Figure]:
    with session():
        found = execute(f"SELECT {column}, count(*) {rows} GROUP BY {column}", *told)
    for label, number in found:
        yield Figure(name, number, {column: label})
