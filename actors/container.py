"""Doorbells of the container kind."""

import uuid

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core import planning, runner
from pipeline.core.context import current_context
from pipeline.signatures import BatchId, JobId, TaskId


@dramatiq.actor(queue_name="task_execution", time_limit=5 * MINUTE_MS)
def plan_container(job_id: JobId) -> None:
    """Give the job its task."""
    planning.plan_next("container", current_context())


@dramatiq.actor(queue_name="task_execution", time_limit=10 * MINUTE_MS)
def launch_container(job_id: JobId, batch: BatchId) -> None:
    """Launch the container of a task, or adopt the one that is there."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())


@dramatiq.actor(queue_name="task_execution", time_limit=20 * MINUTE_MS)
def collect_container(task_id: TaskId) -> None:
    """Keep what an ended container leaves, close its task, remove it."""
    from pipeline.kinds.container import collecting

    collecting.collect(uuid.UUID(task_id), current_context())


@dramatiq.actor(queue_name="docker_management", time_limit=20 * MINUTE_MS)
def stop_container(task_id: TaskId) -> None:
    """Stop a task's container: TERM, its grace, KILL."""
    from pipeline.kinds.container import stopping

    stopping.stop(uuid.UUID(task_id), current_context())


@dramatiq.actor(queue_name="docker_management", time_limit=5 * MINUTE_MS)
def kill_container(task_id: TaskId) -> None:
    """Kill a task's container."""
    from pipeline.kinds.container import stopping

    stopping.stop(uuid.UUID(task_id), current_context(), kill=True)


@dramatiq.actor(queue_name="docker_management", time_limit=20 * MINUTE_MS)
def cleanup_containers() -> None:
    """Remove ended and stray containers."""
    from pipeline.kinds.container import cleaning

    cleaning.clean_containers(current_context())


@dramatiq.actor(queue_name="docker_management", time_limit=20 * MINUTE_MS)
def cleanup_configs() -> None:
    """Remove the volumes of containers that are gone."""
    from pipeline.kinds.container import cleaning

    cleaning.clean_configs(current_context())


@dramatiq.actor(queue_name="docker_management", time_limit=5 * MINUTE_MS)
def check_docker_hosts() -> None:
    """Ask every Docker host whether it answers."""
    from pipeline.kinds.container import cleaning

    cleaning.check_hosts(current_context())


@dramatiq.actor(queue_name="docker_management", time_limit=5 * MINUTE_MS)
def monitor_executions() -> None:
    """Look at every host once."""
    from pipeline.kinds.container import monitor

    monitor.monitor(current_context())
