"""How long what is due waits already, by the queue that its message goes through."""

from dataclasses import dataclass

from pipeline.core import finishing
from pipeline.core.kinds import get_kind
from pipeline.errors import Refused
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import IN_FLIGHT, UNSENT, as_utc


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest that is due in a queue; ``is_served``: something of it is in work."""

    queue: str
    oldest_s: float
    is_served: bool


#: Queue's place in its kind, kind, when the oldest came due, whether anything is in work.
_PLANS = """
    SELECT 'plan', kind, min(CASE WHEN {waits} THEN not_before END),
        max(CASE WHEN {waits} THEN 0 ELSE 1 END)
    FROM jobs WHERE state IN ('pending', 'running') AND planned_at IS NULL AND not_before <= {now}
    GROUP BY kind
"""
# In the words of the two indexes of what is open.
_TASKS = f"""
    SELECT 'work', j.kind, min(CASE WHEN t.state = 'pending' THEN t.not_before END),
        max(CASE WHEN t.state = 'pending' THEN 0 ELSE 1 END)
    FROM (SELECT job_id, state, not_before FROM tasks WHERE {UNSENT}
        UNION ALL SELECT job_id, state, not_before FROM tasks WHERE {IN_FLIGHT}) t
    JOIN jobs j ON j.id = t.job_id WHERE t.not_before <= {{now}} GROUP BY j.kind
"""
_FINISHES = """
    SELECT 'finish', '', min(CASE WHEN {waits} THEN finished_at END),
        max(CASE WHEN {waits} THEN 0 ELSE 1 END)
    FROM jobs WHERE finished_at IS NOT NULL AND finalized_at IS NULL AND not_before <= {now}
    HAVING count(*) > 0
"""


def oldest() -> list[Waiting]:
    """Return the oldest of every queue that something is due in."""
    now = dialect().now
    words = {"now": now, "waits": f"lease_until IS NULL OR lease_until < {now}"}
    with session():
        [(told,)] = execute(f"SELECT {now}")
        rows = [
            row
            for statement in (_PLANS, _TASKS, _FINISHES)
            for row in execute(statement.format(**words))
        ]
    moment = as_utc(told)
    found: dict[str, Waiting] = {}
    for place, kind, since, served in rows:
        queue, due = _queue(place, kind), as_utc(since)
        if queue is None or due is None or moment is None:
            continue
        age_s = max(0.0, (moment - due).total_seconds())
        before = found.get(queue, Waiting(queue, 0.0, False))
        is_served = before.is_served or bool(served)
        found[queue] = Waiting(queue, max(age_s, before.oldest_s), is_served)
    return sorted(found.values(), key=lambda each: each.queue)


def _queue(place: str, kind: str) -> str | None:
    """Return the queue's name; None for a kind that is not known here."""
    if place == "finish":
        return finishing.QUEUE
    try:
        known = get_kind(kind)
    except Refused:
        return None
    return known.plan_queue if place == "plan" else known.work_queue
