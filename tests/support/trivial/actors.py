"""Doorbells of the trivial kind: ``dramatiq tests.support.trivial.actors``."""

import uuid

import dramatiq

import actors
from pipeline.core import planning, runner
from pipeline.core.context import current_context
from pipeline.core.kinds import register
from pipeline.signatures import BatchId, JobId
from tests.support.trivial import KIND

assert actors
register(KIND)


@dramatiq.actor(queue_name="trivial_plan")
def plan_trivial(job_id: JobId):
    """Plan."""
    planning.plan_next(KIND.name, current_context())


@dramatiq.actor(queue_name="trivial_work")
def work_trivial(job_id: JobId, batch: BatchId):
    """Work."""
    runner.run_batch(uuid.UUID(job_id), uuid.UUID(batch), current_context())
