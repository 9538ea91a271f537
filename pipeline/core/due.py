"""How long what is due waits already, by the queue that its message goes through."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core import finishing
from pipeline.core.kinds import Kind, all_kinds
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import IN_FLIGHT, UNSENT, as_utc, database_now


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest that is due in a queue; ``is_served``: something of it is in work."""

    queue: str
    oldest_s: float
    is_served: bool


_UNLEASED = "not_before <= {now} AND (lease_until IS NULL OR lease_until < {now})"

#: The kind, and when the oldest of it came due; of a task that is sent or to be sent, of a plan and
#: of a report.
_DUE: tuple[tuple[str, Callable[[Kind], str]], ...] = (
    (
        "SELECT kind, min(not_before) FROM jobs WHERE state IN ('pending', 'running')"
        f" AND planned_at IS NULL AND {_UNLEASED} GROUP BY kind",
        lambda kind: kind.plan_queue,
    ),
    # What waits to be sent: one task of each job tells, the one whose turn comes last. A job may
    # have a hundred thousand of them.
    (
        "SELECT kind, min(since) FROM (SELECT kind, (SELECT not_before FROM tasks"
        f" WHERE job_id = j.id AND {UNSENT} AND not_before <= {{now}}"
        " ORDER BY size_bytes LIMIT 1) AS since FROM jobs AS j WHERE state = 'running') AS due"
        " WHERE since IS NOT NULL GROUP BY kind",
        lambda kind: kind.work_queue,
    ),
    (
        "SELECT kind, min(since) FROM (SELECT job_id, min(not_before) AS since FROM tasks"
        f" WHERE {IN_FLIGHT} AND state = 'pending' AND not_before <= {{now}} GROUP BY job_id)"
        " AS sent"
        " JOIN jobs ON jobs.id = sent.job_id GROUP BY kind",
        lambda kind: kind.work_queue,
    ),
    (
        "SELECT kind, min(not_before) FROM jobs WHERE finished_at IS NOT NULL"
        f" AND finalized_at IS NULL AND {_UNLEASED} GROUP BY kind",
        lambda kind: finishing.QUEUE,
    ),
)
#: The kinds of which something is in work.
_IN_WORK: tuple[tuple[str, Callable[[Kind], str]], ...] = (
    (
        "SELECT DISTINCT kind FROM jobs WHERE state IN ('pending', 'running')"
        " AND planned_at IS NULL AND lease_until >= {now}",
        lambda kind: kind.plan_queue,
    ),
    (
        "SELECT DISTINCT kind FROM jobs WHERE id IN"
        f" (SELECT job_id FROM tasks WHERE {IN_FLIGHT} AND state = 'running')",
        lambda kind: kind.work_queue,
    ),
    (
        "SELECT DISTINCT kind FROM jobs WHERE finished_at IS NOT NULL"
        " AND finalized_at IS NULL AND lease_until >= {now}",
        lambda kind: finishing.QUEUE,
    ),
)


def oldest() -> list[Waiting]:
    """Return the oldest of every queue that something is due in."""
    now = dialect().now
    kinds = {kind.name: kind for kind in all_kinds()}
    ages: dict[str, float] = {}
    served: set[str] = set()
    with session():
        seen_at = database_now()
        for statement, queue_of in _DUE:
            for name, told in execute(statement.format(now=now)):
                since = as_utc(told)
                if name in kinds and since is not None:
                    queue = queue_of(kinds[name])
                    age_s = max(0.0, (seen_at - since).total_seconds())
                    ages[queue] = max(ages.get(queue, 0.0), age_s)
        for statement, queue_of in _IN_WORK:
            found = execute(statement.format(now=now))
            served.update(queue_of(kinds[name]) for (name,) in found if name in kinds)
    return [Waiting(queue, age_s, queue in served) for queue, age_s in sorted(ages.items())]
