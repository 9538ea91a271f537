"""Rows in every state, made by the machine's own moves."""

import uuid
from collections.abc import Sequence
from typing import Any

import dramatiq

from pipeline import broker
from pipeline.core import jobs, planning, runner, transitions
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.tasks import Claim, Outcome
from pipeline.states import Reason, TaskState
from pipeline.store.database import as_uuid, dialect, execute, session
from pipeline.store.models import IN_FLIGHT, TaskRow


def pending_job(**told: Any) -> uuid.UUID:
    """Submit a trivial job; nothing of it has run."""
    parameters = {"tasks": told.pop("tasks", 3), **told.pop("parameters", {})}
    return jobs.submit(Submission(kind="trivial", parameters=parameters, **told))


def planned_job(context: Context, **told: Any) -> uuid.UUID:
    """Submit a trivial job and plan it; its tasks are pending and sent."""
    job_id = pending_job(**told)
    planning.run_plan(job_id, context)
    return job_id


def task_ids(job_id: uuid.UUID, state: str | None = None) -> list[str]:
    """Return the ids of the job's tasks in order."""
    with session():
        query = TaskRow.select(TaskRow.id).where(TaskRow.job == job_id).order_by(TaskRow.seq)
        if state is not None:
            query = query.where(TaskRow.state == state)
        return [str(task.id) for task in query]


def batches(job_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the batches of the job that are in flight, the first sent first."""
    with session():
        rows = execute(
            f"SELECT DISTINCT batch FROM tasks WHERE job_id = %s AND {IN_FLIGHT} ORDER BY batch",
            job_id.hex,
        )
    return [as_uuid(batch) for (batch,) in rows]


def claimed(context: Context, job_id: uuid.UUID, *, worker: str = "worker") -> list[Claim]:
    """Lease all of the job that was sent."""
    return [
        claim
        for batch in batches(job_id)
        for claim in transitions.claim_tasks(job_id, batch, worker=worker, lease_s=60)
    ]


def work_off(job_id: uuid.UUID, context: Context) -> None:
    """Run the batches of the job that are in flight."""
    for batch in batches(job_id):
        runner.run_batch(job_id, batch, context)


def outcome(claim: Claim, state: TaskState = TaskState.SUCCEEDED, **told: Any) -> Outcome:
    """Return the outcome of a claim."""
    reason = Reason.ERROR if state is TaskState.FAILED else None
    return Outcome(claim.id, claim.attempt, state, reason, **told)


def close(
    job_id: uuid.UUID, claims: Sequence[Claim], state: TaskState = TaskState.SUCCEEDED
) -> bool:
    """Close the claims in one state; True when that ended the job."""
    return transitions.close_tasks(job_id, [outcome(c, state) for c in claims], actor="worker")


def let_leases_lapse() -> None:
    """Move every lease into the past."""
    past = dialect().later("-1")
    with session():
        execute(f"UPDATE tasks SET lease_until = {past} WHERE state = 'running'")
        execute(f"UPDATE jobs SET lease_until = {past} WHERE lease_until IS NOT NULL")


def age_hints(seconds: float) -> None:
    """Move every hint into the past."""
    past = dialect().later("%s")
    with session():
        execute(f"UPDATE tasks SET hinted_at = {past} WHERE hinted_at IS NOT NULL", -seconds)
        execute(f"UPDATE jobs SET hinted_at = {past} WHERE hinted_at IS NOT NULL", -seconds)


def take_messages() -> list[tuple[str, tuple[Any, ...]]]:
    """Empty the in-memory broker; return (actor, arguments) of each message."""
    taken = []
    for queue in broker.current_broker().queues.values():
        while not queue.empty():
            message = dramatiq.Message.decode(queue.get_nowait())
            taken.append((message.actor_name, tuple(message.args)))
            queue.task_done()
    return taken


def recount(job_id: uuid.UUID) -> dict[str, int]:
    """Count the job's tasks by state, from their rows."""
    with session():
        rows = execute(
            "SELECT state, count(*) FROM tasks WHERE job_id = %s GROUP BY state", job_id.hex
        )
    return dict(rows)
