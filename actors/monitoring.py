"""Doorbells of the machine itself."""

import uuid

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core import finishing
from pipeline.core import sweep as sweeping
from pipeline.core.context import current_context
from pipeline.signatures import JobId


@dramatiq.actor(queue_name="monitoring", time_limit=20 * MINUTE_MS)
def finish_job(job_id: JobId) -> None:
    """Write the reports of a job that has ended."""
    finishing.run_finish(uuid.UUID(job_id), current_context())


@dramatiq.actor(queue_name="monitoring", time_limit=5 * MINUTE_MS)
def sweep() -> None:
    """Find what is due and has nobody."""
    sweeping.sweep(current_context())
