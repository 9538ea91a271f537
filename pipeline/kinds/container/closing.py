"""Closes the task of a run that has ended, with its execution, in one transaction."""

from pipeline import failpoints, metrics
from pipeline.core import executions, finishing, transitions
from pipeline.core.context import Context
from pipeline.core.executions import Execution
from pipeline.core.tasks import Outcome
from pipeline.failpoints import Point
from pipeline.kinds.container.ending import End
from pipeline.store import results
from pipeline.store.database import transaction
from pipeline.store.results import Result


def close(
    execution: Execution,
    end: End,
    context: Context,
    *,
    document: dict[str, object] | None = None,
    exit_code: int | None = None,
) -> None:
    """Close the task, or hand it back for another run.

    ``document`` is the task's result. Somebody who closed it before was first.
    """
    key = f"container:{execution.task_id}:{execution.run}"
    if document is not None:
        results.store([Result(key, document, {})])
    outcome = Outcome(
        *(execution.task_id, execution.task_attempt, end.state, end.reason, end.message),
        result_key=key if document is not None else None,
        delay_s=end.delay_s or 0.0,
        strike=end.delay_s is not None,
    )
    failpoints.reach(Point.WORKED)
    actor = context.settings.worker_name
    with transaction():
        executions.ended(execution.task_id, execution.run, exit_code=exit_code)
        job_ended = transitions.close_tasks(execution.job_id, [outcome], actor=actor)
    if execution.launched_at is not None:
        metrics.DETACHED_SECONDS.observe(execution.age_s(execution.launched_at), execution.kind)
    failpoints.reach(Point.CLOSED)
    if job_ended:
        finishing.announce(execution.job_id)
