"""The time per task along a run, from the rows: is the last tenth dearer than the first?"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pipeline.store.database import dialect, execute, session

PARTS = 10


def tenths_s(job_ids: Sequence[Any]) -> list[float]:
    """Return when each tenth of the jobs' tasks had ended, in seconds from the first submission."""
    ids, among = dialect().ids(job_ids), dialect().among
    with session():
        rows = execute(
            "SELECT tenth, extract(epoch FROM max(finished_at) - (SELECT min(created_at)"
            f" FROM jobs WHERE {among('id')})) FROM (SELECT finished_at,"
            f" ntile({PARTS}) OVER (ORDER BY finished_at) AS tenth FROM tasks"
            f" WHERE finished_at IS NOT NULL AND {among('job_id')}) AS ended"
            " GROUP BY tenth ORDER BY tenth",
            *(ids, ids),
        )
    return [float(end) for _, end in rows]


def tenths_us(ends_s: Sequence[float], tasks: int) -> list[float]:
    """Return the microseconds per task of each tenth; the first holds the wait for it to begin."""
    ends, each = [0.0, *ends_s], tasks / PARTS
    return [round((end - begin) / each * 1e6) for begin, end in pairwise(ends)]


def rise(tenths: Sequence[float]) -> float:
    """Return how many times as dear the last three tenths were as the second to the fourth."""
    early, late = sum(tenths[1:4]), sum(tenths[-3:])
    return round(late / early, 2) if early else 0.0


def table_detail() -> dict[str, Any]:
    """Return what the tables weigh, and how many updates of tasks touched no index."""
    with session():
        [(tasks, events, results)] = execute(
            "SELECT pg_total_relation_size('tasks'), pg_total_relation_size('events'),"
            " pg_total_relation_size('results')"
        )
        [(updates, hot, vacuums)] = execute(
            "SELECT n_tup_upd, n_tup_hot_upd, autovacuum_count FROM pg_stat_user_tables"
            " WHERE relname = 'tasks'"
        )
    mib = {"tasks": tasks, "events": events, "results": results}
    return {
        **{f"{name}_table_mib": round(size / 1048576, 1) for name, size in mib.items()},
        "updates_of_tasks": updates,
        "hot_updates_of_tasks": hot,
        "vacuums_of_tasks": vacuums,
    }
