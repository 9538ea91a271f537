"""Doorbells of services."""

import uuid

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core import planning, runner
from pipeline.core.context import current_context
from pipeline.signatures import BatchId, JobId


@dramatiq.actor(queue_name="fast_tasks", time_limit=5 * MINUTE_MS)
def plan_service(job_id: JobId) -> None:
    """Give a job of light calls its tasks."""
    planning.plan_next("service", current_context())


@dramatiq.actor(queue_name="fast_tasks", time_limit=5 * MINUTE_MS)
def plan_heavy_service(job_id: JobId) -> None:
    """Give a job of heavy calls its tasks."""
    planning.plan_next("heavy_service", current_context())


@dramatiq.actor(queue_name="fast_tasks", time_limit=25 * MINUTE_MS)
def execute_task(job_id: JobId, batch: BatchId) -> None:
    """Make one batch of light calls."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())


@dramatiq.actor(queue_name="heavy_tasks", time_limit=25 * MINUTE_MS)
def execute_heavy_task(job_id: JobId, batch: BatchId) -> None:
    """Make one heavy call, in a child process."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())
