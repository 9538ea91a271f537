"""Gives a task a place and its container: looks first, adopts what is there, never has two."""

import uuid
from collections.abc import Mapping

from pipeline import failpoints, tracing
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL, Engine, Seen, Spec
from pipeline.core import callbacks, executions, hosts
from pipeline.core.context import Context
from pipeline.core.executions import Execution
from pipeline.core.hosts import Host
from pipeline.core.tasks import Claim
from pipeline.errors import NotFound
from pipeline.failpoints import Point
from pipeline.kinds.container.spec import Common, image
from pipeline.settings import Settings
from pipeline.store.database import lock, transaction

RUN_LABEL = "quayline.run"
TASK_LABEL = "quayline.task"
JOB_LABEL = "quayline.job"


def container_name(task_id: uuid.UUID) -> str:
    """Return the name of the task's container, the same on every host and in every run."""
    return f"task-{task_id}"


def of_run(seen: Seen | None, execution: Execution) -> Seen | None:
    """Return the container if it is that of the execution's run; None for one of an earlier run."""
    return seen if seen and seen.labels.get(RUN_LABEL) == str(execution.run) else None


def placed(
    claim: Claim, job_id: uuid.UUID, labels: Mapping[str, str], settings: Settings
) -> tuple[Execution, Host] | None:
    """Return where the task runs; None when no host has a free slot for it.

    What an earlier attempt launched, and has not ended, stays where it is: it is adopted.
    """
    known = hosts.known(settings)
    by_name = {host.name: host for host in known}
    with transaction():
        lock("placement")
        earlier = _earlier(claim.id)
        if earlier is not None and earlier.ended_at is None and _may_live(earlier, by_name):
            executions.take_over(claim.id, claim.attempt)
        else:
            host = hosts.choose(known, executions.load(), labels)
            if host is None:
                return None
            name = container_name(claim.id)
            executions.place(claim.id, job_id, claim.attempt, host=host.name, container=name)
    execution = executions.get(claim.id)
    return execution, by_name[execution.host]


def _earlier(task_id: uuid.UUID) -> Execution | None:
    try:
        return executions.get(task_id)
    except NotFound:
        return None


def _may_live(earlier: Execution, by_name: Mapping[str, Host]) -> bool:
    """Tell whether something of it may run: one that was never started may go elsewhere."""
    host = by_name.get(earlier.host)
    return earlier.launched_at is not None or (host is not None and host.takes)


def launch(execution: Execution, task: Common, engine: Engine, context: Context) -> Seen:
    """Return the task's one container, started.

    Raises ``EngineUnavailable``, or a ``Permanent`` error when it cannot be had.
    """
    name = execution.container
    seen = engine.find(name)
    failpoints.reach(Point.LOOKED)
    if seen is not None and of_run(seen, execution) is None:
        engine.remove(name, keep_output=task.resumes)
        seen = None
    run = execution.run
    if seen is None:
        if execution.launched_at is not None:
            # It was started and is gone: what it did is not known, so this is another run.
            run = executions.next_run(execution.task_id, run)
        seen = engine.create(_spec(execution, run, task, context.settings))
        failpoints.reach(Point.CREATED)
    if seen.state == "created":
        # Before the start: whoever finds this unset knows that nothing has run.
        executions.launched(execution.task_id, run)
        seen = engine.start(name)
        failpoints.reach(Point.STARTED)
    return seen


def _spec(execution: Execution, run: int, task: Common, settings: Settings) -> Spec:
    return Spec(
        name=execution.container,
        image=image(task, settings),
        labels={
            DEPLOYMENT_LABEL: executions.deployment().id,
            TASK_LABEL: str(execution.task_id),
            JOB_LABEL: str(execution.job_id),
            RUN_LABEL: str(run),
        },
        env={
            # First: a job may go on with a trace of its own.
            **tracing.environment(execution.job_id),
            **task.env,
            "TASK_EXECUTION_ID": str(execution.task_id),
            "CONFIG_PATH": "/app/config.json",
            **_api(execution.task_id, run, settings),
        },
        command=task.command,
        config=task.config_text(),
        user=settings.container_user,
        memory_bytes=task.memory_bytes,
        cpus=task.cpus,
        pids=task.pids,
        tmpfs_bytes=settings.container_tmp_bytes,
        log_bytes=settings.container_log_bytes,
        network=None if task.network == "none" else "quayline",
        stop_grace_s=task.stop_grace_s,
        resumes=task.resumes and run > 1,
    )


def _api(task_id: uuid.UUID, run: int, settings: Settings) -> dict[str, str]:
    """Return where the container calls back; its token rides in the path."""
    address = callbacks.address(settings).rstrip("/")
    return {"API_BASE_URL": f"{address}/t/{executions.token(task_id, run)}"} if address else {}
