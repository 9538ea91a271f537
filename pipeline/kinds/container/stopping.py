"""Stops one container: TERM, its grace, KILL; or KILL at once. Its end is collected like any."""

import uuid

from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.core import executions, hosts, jobs
from pipeline.core.context import Context
from pipeline.errors import NotFound
from pipeline.kinds.container.doorbell import ring_end
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.spec import task_of
from pipeline.states import Reason


def stop(task_id: uuid.UUID, context: Context, *, kill: bool = False) -> None:
    """The task's container is stopped, or has ended before; a host that is away is tried later."""
    try:
        execution = executions.get(task_id)
    except NotFound:
        return
    if execution.ended_at is not None:
        return
    if execution.stop_reason is None:
        reason = Reason.CANCELLED if execution.cancel_requested else Reason.KILLED
        executions.request_stop(task_id, execution.run, reason)
    host = hosts.get(execution.host, context.settings)
    engine = engine_of(host, context.settings)
    task = task_of(jobs.get(execution.job_id))
    try:
        if kill:
            engine.kill(execution.container)
        else:
            engine.stop(execution.container, grace_s=task.stop_grace_s)
    except EngineUnavailable as error:
        hosts.note_away(host.name, error.message)
        return
    ring_end(task_id)
