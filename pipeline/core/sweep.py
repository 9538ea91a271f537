"""The periodic look at the rows: what is due and has nobody gets its hint again.

Safe to run anywhere, any number of times, at the same time: every step is a compare-and-set.
"""

import logging
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import broker, failpoints, metrics
from pipeline.core import finishing, jobs, jumps, retries, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.kinds import Kind, get_kind
from pipeline.core.tasks import Outcome
from pipeline.errors import Refused
from pipeline.failpoints import Point
from pipeline.states import JobState, Reason
from pipeline.store.database import as_uuid, dialect, execute, session, transaction
from pipeline.store.models import IN_FLIGHT

log = logging.getLogger(__name__)

#: Rows that one step of a sweep looks at; the rest waits for the next sweep.
STEP = 1000


@dataclass(slots=True)
class Swept:
    """What one sweep did."""

    lost_tasks: int = 0
    lost_hints: int = 0
    planned_again: int = 0
    stopped: int = 0
    batches_sent: int = 0
    finishes_sent: int = 0


def sweep(context: Context) -> Swept:
    """Find lost workers, lost hints, passed deadlines and unfinished ends; set each going again."""
    leases_count = jumps.leases_count(context)
    swept = Swept(
        stopped=_stop_due(context),
        lost_tasks=_recover_tasks(context) if leases_count else 0,
        planned_again=_ring_due(context),
        lost_hints=_forget_lost_hints(context),
    )
    for kind in _open_kinds():
        swept.batches_sent += dispatch(kind, context)
    swept.finishes_sent = _finish_due(context)
    for what, number in asdict(swept).items():
        metrics.SWEPT.add(what, by=number)
    if any(asdict(swept).values()):
        log.info("Swept", extra=asdict(swept))
    return swept


def due(context: Context) -> Swept:
    """Count what a sweep would set going now; nothing changes.

    What follows from its first steps is not among it: batches that it sends of what it took back.
    """
    now, again_s = dialect().now, context.settings.hint_again_s
    leases = f"{IN_FLIGHT} AND state = 'running' AND lease_until < {now}"
    lost = [_gone(get_kind(name), again_s) for name in _open_kinds()]
    return Swept(
        lost_tasks=_count("tasks", leases),
        lost_hints=sum(_count("tasks", *gone) for gone in lost if gone is not None),
        planned_again=_count("jobs", _plan_is_due(), -again_s),
        stopped=_count("jobs", _stop_is_due()),
        finishes_sent=_count("jobs", _finish_is_due(), -again_s),
    )


def _count(table: str, where: str, *parameters: Any) -> int:
    with session():
        return int(execute(f"SELECT count(*) FROM {table} WHERE {where}", *parameters)[0][0])


def _open_kinds() -> list[str]:
    with session():
        rows = execute("SELECT DISTINCT kind FROM jobs WHERE state IN ('pending', 'running')")
    return [kind for (kind,) in rows if _is_known(kind)]


def _is_known(kind: str) -> bool:
    """Tell whether this process knows the kind; one of a newer version is left to that."""
    try:
        get_kind(kind)
    except Refused:
        if kind not in _unknown:
            _unknown.add(kind)
            log.warning(
                "Jobs of a kind that is not known here are left alone", extra={"kind": kind}
            )
        return False
    return True


_unknown: set[str] = set()


def _recover_tasks(context: Context) -> int:
    """Tasks whose lease lapsed lost their worker: that counts as a run that ended badly."""
    with session():
        rows = execute(
            f"SELECT id, job_id, attempt, strikes FROM tasks WHERE {IN_FLIGHT}"
            f" AND state = 'running' AND lease_until < {dialect().now} LIMIT {STEP}"
        )
    by_job: dict[uuid.UUID, list[Outcome]] = {}
    for task_id, job_id, attempt, strikes in rows:
        decision = retries.decide(Reason.WORKER_LOST, strikes + 1, context.settings)
        outcome = Outcome(
            *(as_uuid(task_id), attempt, decision.state, Reason.WORKER_LOST),
            message=f"The worker was lost in run {attempt}.",
            delay_s=decision.delay_s,
            strike=True,
        )
        by_job.setdefault(as_uuid(job_id), []).append(outcome)
    for job_id, outcomes in by_job.items():
        lost = [str(outcome.task_id) for outcome in outcomes]
        log.warning("A worker was lost", extra={"job_id": str(job_id), "task_ids": lost})
        ended = transitions.close_tasks(job_id, outcomes, actor="sweep", lapsed_only=True)
        failpoints.reach(Point.RECOVERED)
        if ended:
            finishing.announce(job_id)
    return len(rows)


def _ring_due(context: Context) -> int:
    """Jobs that wait for their plan and whose hint or planner was lost get rung again."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE jobs SET hinted_at = {sql.now} WHERE id IN (SELECT id FROM jobs"
            f" WHERE {_plan_is_due()} LIMIT {STEP}) RETURNING id, kind, attempt",
            -context.settings.hint_again_s,
        )
    rung = 0
    for job_id, kind, attempt in rows:
        if attempt >= context.settings.max_attempts + retries.LOST_GRACE:
            text = f"Planning lost its worker {attempt} times."
            _end(as_uuid(job_id), Reason.WORKER_LOST, text)
        elif _is_known(kind):
            rung += jobs.ring(kind, as_uuid(job_id))
    return rung


def _plan_is_due() -> str:
    return (
        "state IN ('pending', 'running') AND planned_at IS NULL AND cancel_requested_at IS NULL"
        f" AND {_nobody_is_at_it()}"
    )


def _nobody_is_at_it() -> str:
    now = dialect().now
    return (
        f"not_before <= {now} AND (lease_until IS NULL OR lease_until < {now})"
        f" AND (hinted_at IS NULL OR hinted_at < {dialect().later('%s')})"
    )


def _end(job_id: uuid.UUID, reason: Reason, message: str) -> None:
    state = JobState.FAILED
    if transitions.end_unplanned(job_id, state, reason, message, actor="sweep"):
        finishing.announce(job_id)


def _forget_lost_hints(context: Context) -> int:
    """Sent batches that nobody took up count as not sent, once they cannot be in the queue."""
    return sum(_forget_of_kind(get_kind(name), context) for name in _open_kinds())


def _forget_of_kind(kind: Kind, context: Context) -> int:
    gone = _gone(kind, context.settings.hint_again_s)
    if gone is None:
        return 0
    where, *parameters = gone
    with transaction():
        return len(
            execute(
                "UPDATE tasks SET hinted_at = NULL, batch = NULL"
                f" WHERE {dialect().locked('tasks', where)} RETURNING id",
                *parameters,
            )
        )


def _gone(kind: Kind, again_s: float) -> tuple[Any, ...] | None:
    """Return the condition, and its parameters, of tasks whose hint cannot be in the queue."""
    sql = dialect()
    # In the words of the index of what is in flight; all of the table would be read without them.
    in_flight = (
        f"{IN_FLIGHT} AND job_id IN (SELECT id FROM jobs WHERE kind = %s AND state = 'running')"
    )
    with session():
        # The queue is served in order: what was sent well before a batch that is being worked on
        # cannot be in it any more.
        [(now, newest)] = execute(
            f"SELECT {sql.now},"
            f" (SELECT max(hinted_at) FROM tasks WHERE {in_flight} AND state = 'running')",
            kind.name,
        )
    # No connection is held while the broker is asked.
    served_until = newest if broker.waiting(kind.work_queue) else now
    if served_until is None:
        return None
    where = f"{in_flight} AND state = 'pending' AND hinted_at < {sql.moved('%s', '%s')}"
    return where, kind.name, served_until, -again_s


def _stop_due(context: Context) -> int:
    """Jobs past their deadline, and cancels that were interrupted, are carried out."""
    with session():
        rows = execute(
            "SELECT id, cancel_requested_at IS NOT NULL FROM jobs"
            f" WHERE {_stop_is_due()} LIMIT {STEP}"
        )
    for job_id, is_cancelled in rows:
        reason = Reason.CANCELLED if is_cancelled else Reason.DEADLINE
        jobs.stop(as_uuid(job_id), reason, actor="sweep")
    return len(rows)


def _stop_is_due() -> str:
    return (
        "state IN ('pending', 'running')"
        f" AND (cancel_requested_at IS NOT NULL OR deadline_at < {dialect().now})"
    )


def _finish_due(context: Context) -> int:
    """Ended jobs whose reports nobody writes get their finish message again, within reason."""
    with transaction():
        rows = execute(
            f"UPDATE jobs SET hinted_at = {dialect().now} WHERE id IN (SELECT id FROM jobs"
            f" WHERE {_finish_is_due()} LIMIT {STEP}) RETURNING id, attempt",
            -context.settings.hint_again_s,
        )
    for job_id, attempt in rows:
        if attempt >= context.settings.max_attempts + retries.LOST_GRACE:
            text = f"Writing the reports lost its worker {attempt} times."
            transitions.finalized(as_uuid(job_id), attempt, {"error": text}, actor="sweep")
        else:
            finishing.announce(as_uuid(job_id))
    return len(rows)


def _finish_is_due() -> str:
    return f"finished_at IS NOT NULL AND finalized_at IS NULL AND {_nobody_is_at_it()}"
