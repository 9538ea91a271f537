"""Doorbells of the SQL lint kind."""

import uuid

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core import planning, runner
from pipeline.core.context import current_context
from pipeline.signatures import BatchId, JobId


@dramatiq.actor(queue_name="zip_processing", time_limit=20 * MINUTE_MS)
def expand_archive(job_id: JobId) -> None:
    """Turn the job's archive into tasks, or that of one which goes before it."""
    planning.plan_next("sql_lint", current_context())


@dramatiq.actor(queue_name="sql_analysis", time_limit=15 * MINUTE_MS)
def lint_files(job_id: JobId, batch: BatchId) -> None:
    """Lint one batch of files."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())
