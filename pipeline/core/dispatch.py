"""Who goes next: the order between jobs is decided here, from the rows, at the moment of sending.

Queues stay short. Per kind at most twice as many batches are in flight (sent and not closed) as are
in work, or as many as ``window`` says; whoever closes one asks for the next. Among the jobs with
something due the choice is: highest priority, then fewest batches in flight, then fewest tasks
done, then fewest left, then oldest. So a job of ten files waits for one free slot behind a job of
100,000, not for its end, nor for the first batches of fifty others. Within a job the largest task
goes first. The batches of a job that is alone shrink with what is left, so that no core idles at
the end and a small job is shared out among the workers; one among others goes in whole batches, as
each would wait for a slot of its own.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq

from pipeline import broker, failpoints
from pipeline.clock import new_id
from pipeline.core import transitions
from pipeline.core.context import Context
from pipeline.core.kinds import Kind, get_kind
from pipeline.core.turns import Turns
from pipeline.failpoints import Point
from pipeline.settings import Settings
from pipeline.store.database import as_uuid, dialect, execute, transaction
from pipeline.store.models import IN_FLIGHT, UNSENT

#: The smallest batch is this part of a whole one, unless less is left.
SMALLEST_BATCH = 8

#: Where the number in flight follows the workers: so many when hardly any is in work yet, and into
#: so many parts what is left of a job is cut for them.
LEAST_IN_FLIGHT = 4
PARTS = 8


@dataclass(slots=True)
class Candidate:
    """A job with something due, as the choice between jobs sees it."""

    id: uuid.UUID
    priority: int
    done: int
    left: int
    in_flight: int = 0

    @property
    def rank(self) -> tuple[int, int, int, int, uuid.UUID]:
        """The sort key: the smallest is served next (ids are ordered by age)."""
        return (-self.priority, self.in_flight, self.done, self.left, self.id)


_turns: defaultdict[str, Turns] = defaultdict(Turns)


def dispatch(kind_name: str, context: Context) -> int:
    """Send the batches that are due and fit into the window; return how many are on their way.

    0 also when another thread, which has not begun yet, sends them. Nobody waits for the broker:
    what it does not take counts as not sent.
    """
    kind = get_kind(kind_name)
    with _turns[kind.name].taken() as is_mine:
        return _dispatch(kind, context) if is_mine else 0


def _dispatch(kind: Kind, context: Context) -> int:
    with transaction():
        transitions.lock_sending(kind.name)
        batches = _choose(kind, context)
    if batches:
        failpoints.reach(Point.CHOSEN)
        messages = [_message(kind, *batch) for batch in batches]
        broker.send_soon(messages, lambda: unhint([batch_id for batch_id, _ in batches]))
    return len(batches)


def unhint(batches: Sequence[uuid.UUID]) -> None:
    """Take back the note that these batches were sent, so that the next dispatch sends them."""
    sql = dialect()
    waiting = f"{sql.among('batch')} AND state = 'pending'"
    with transaction():
        execute(
            f"UPDATE tasks SET hinted_at = NULL, batch = NULL WHERE {sql.locked('tasks', waiting)}",
            sql.ids(batches),
        )


def _choose(kind: Kind, context: Context) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return (batch, job) of what is to be sent."""
    candidates = _candidates(kind)
    in_flight, in_work = _in_flight(kind, candidates)
    free = _free(context.settings, in_flight, in_work)
    if candidates and free > 0:
        free = min(free, kind.room(context) - in_flight)
    chosen = []
    while free > 0 and candidates:
        job = min(candidates, key=lambda each: each.rank)
        batch = _take(job.id, kind, context, alone=len(candidates) == 1)
        if batch is None:
            candidates.remove(job)
            continue
        batch_id, tasks = batch
        chosen.append((batch_id, job.id))
        job.in_flight += 1
        job.done += tasks
        job.left -= tasks
        free -= 1
    return chosen


def _candidates(kind: Kind) -> list[Candidate]:
    # One look into an index per job. PostgreSQL would make a join of EXISTS, and as long as its
    # statistics do not know of the tasks, one that reads them all.
    rows = execute(
        "SELECT id, priority, succeeded + failed + timed_out + cancelled - reused,"
        " total - succeeded - failed - timed_out - cancelled FROM jobs"
        " WHERE kind = %s AND state = 'running' AND cancel_requested_at IS NULL"
        f" AND (SELECT 1 FROM tasks WHERE tasks.job_id = jobs.id AND {UNSENT}"
        f" AND tasks.not_before <= {dialect().now} LIMIT 1) = 1",
        kind.name,
    )
    return [Candidate(as_uuid(row[0]), *row[1:]) for row in rows]


def _in_flight(kind: Kind, candidates: list[Candidate]) -> tuple[int, int]:
    """Return how many batches are sent and not closed, and how many of those are in work.

    What goes on outside of workers is in nobody's way.
    """
    rows = execute(
        "SELECT job_id, count(DISTINCT batch),"
        " count(DISTINCT CASE WHEN state = 'running' THEN batch END)"
        f" FROM tasks WHERE {IN_FLIGHT} AND detached_at IS NULL AND job_id IN"
        " (SELECT id FROM jobs WHERE kind = %s AND state = 'running') GROUP BY job_id",
        kind.name,
    )
    by_job = {as_uuid(job_id): count for job_id, count, _ in rows}
    for candidate in candidates:
        candidate.in_flight = by_job.get(candidate.id, 0)
    return sum(by_job.values()), sum(in_work for _, _, in_work in rows)


def _free(settings: Settings, in_flight: int, in_work: int) -> int:
    """Return how many more batches may be sent.

    As many wait as are in work: no worker finds its queue empty, and a batch that is sent next
    waits for about two others. How many workers there are is told by what they have in work.
    """
    return (settings.batches_in_flight or max(LEAST_IN_FLIGHT, 2 * in_work)) - in_flight


def _take(
    job_id: uuid.UUID, kind: Kind, context: Context, *, alone: bool
) -> tuple[uuid.UUID, int] | None:
    """Note the job's next batch as sent; return it and its number of tasks.

    A task with a strike goes alone, sparing others.
    """
    sql = dialect()
    rows = execute(
        f"SELECT id, size_bytes, strikes FROM tasks WHERE job_id = %s AND {UNSENT}"
        f" AND not_before <= {sql.now}"
        " ORDER BY size_bytes DESC LIMIT %s",
        *(job_id.hex, context.settings.batch_tasks),
    )
    costs = [(task_id, size + kind.task_cost_bytes, strikes) for task_id, size, strikes in rows]
    due_bytes = sum(cost for _, cost, _ in costs)
    picked = _cut(costs, _budget(due_bytes, context.settings, alone=alone))
    if not picked:
        return None
    batch = new_id()
    execute(
        f"UPDATE tasks SET hinted_at = {sql.now}, batch = %s WHERE {sql.among('id')}"
        " AND state = 'pending'",
        *(batch.hex, sql.ids(picked)),
    )
    return batch, len(picked)


def _budget(due_bytes: int, settings: Settings, *, alone: bool) -> int:
    """Bytes of the next batch, when so many are due (more than are looked at count as those)."""
    if not alone:
        return settings.batch_bytes
    share = due_bytes // (settings.batches_in_flight or PARTS)
    return min(settings.batch_bytes, max(settings.batch_bytes // SMALLEST_BATCH, share))


def _cut(rows: Sequence[tuple[Any, int, int]], batch_bytes: int) -> list[uuid.UUID]:
    struck = [as_uuid(task_id) for task_id, _, strikes in rows if strikes]
    if struck:
        return struck[:1]
    picked: list[uuid.UUID] = []
    room = batch_bytes
    for task_id, size_bytes, _ in rows:
        if picked and size_bytes > room:
            break
        picked.append(as_uuid(task_id))
        room -= size_bytes
    return picked


def _message(kind: Kind, batch: uuid.UUID, job_id: uuid.UUID) -> dramatiq.Message[Any]:
    told = (kind.work_queue, kind.work_actor, str(job_id), str(batch))
    return broker.message(*told, job_id=job_id)
