"""Takes everything of a container that has ended, closes its task, then removes it."""

import logging
import uuid
from typing import Any

from pipeline import failpoints, tracing
from pipeline.adapters.engines.errors import EngineUnavailable, NoSuchContainer
from pipeline.adapters.engines.model import Engine, Seen
from pipeline.core import executions, hosts, jobs, trouble
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.executions import Execution
from pipeline.errors import NotFound, Permanent, Transient
from pipeline.failpoints import Point
from pipeline.kinds.container.closing import close
from pipeline.kinds.container.ending import End, end_of
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.keeping import keep
from pipeline.kinds.container.launching import of_run
from pipeline.kinds.container.spec import task_of
from pipeline.states import TERMINAL_TASK, Reason, TaskState

log = logging.getLogger(__name__)


def collect(task_id: uuid.UUID, context: Context) -> bool:
    """Close the task if its container has ended; remove what is left of an ended run.

    True when that was removed.

    May run twice, late, or beside itself. A host or storage that is away leaves all as it is: the
    monitor rings again.
    """
    try:
        execution = executions.get(task_id)
    except NotFound:
        return False
    host = hosts.get(execution.host, context.settings)
    try:
        engine = engine_of(host, context.settings)
        if execution.is_current and execution.ended_at is None:
            with tracing.span("collect", execution.job_id):
                _collect(execution, engine, context)
        if tidy(executions.get(task_id), engine):
            dispatch(execution.kind, context)
            return True
    except EngineUnavailable as error:
        hosts.note_away(host.name, error.message)
    except Transient as error:
        trouble.note(error)
        log.warning("A container could not be collected", extra={"error": error.message})
    except NoSuchContainer as error:
        # Removed in the same moment: the next look says what that means.
        log.info("A container is gone", extra={"error": error.message})
    return False


def _collect(execution: Execution, engine: Engine, context: Context) -> None:
    seen = of_run(engine.find(execution.container), execution)
    if seen is None:
        if execution.launched_at is None:
            return
    elif not seen.has_ended:
        return
    # One that was lost, or takes longer, is followed by another; the first to close counts.
    lease_s = context.settings.lease_s
    if not executions.claim_end(execution.task_id, execution.run, lease_s=lease_s):
        return
    failpoints.reach(Point.END_CLAIMED)
    try:
        # What it said of its end is in the row by now: it said so while it ran.
        _close(executions.get(execution.task_id), seen, engine, context)
    except BaseException:
        executions.release_end(execution.task_id, execution.run)
        raise


def _close(execution: Execution, seen: Seen | None, engine: Engine, context: Context) -> None:
    document: dict[str, Any] | None = None
    job = jobs.get(execution.job_id)
    try:
        task = task_of(job)
    except Permanent as error:
        close(execution, End(TaskState.FAILED, error.reason, error.message), context)
        return
    host = hosts.get(execution.host, context.settings)
    if seen is not None:
        document, execution = keep(execution, seen, engine, context)
        failpoints.reach(Point.KEPT)
    end = end_of(seen, execution, task, host, context.settings)
    if document and document["output_error"] and end.state is TaskState.SUCCEEDED:
        end = End(TaskState.FAILED, Reason.TOO_LARGE, document["output_error"])
    close(
        *(execution, end, context),
        document=document,
        exit_code=seen.exit_code if seen else None,
    )


def tidy(execution: Execution, engine: Engine) -> bool:
    """Remove the container of a run that has ended, or of a task that ended without it.

    True when its slot has become free.
    """
    if execution.removed_at is not None:
        return False
    if execution.ended_at is None:
        if execution.state not in TERMINAL_TASK:
            return False
        executions.ended(execution.task_id, execution.run, exit_code=None)
    # A task that runs again may go on with what its collector left.
    engine.remove(execution.container, keep_output=execution.state == TaskState.PENDING)
    failpoints.reach(Point.REMOVED)
    executions.removed(execution.task_id, execution.run)
    return True
