"""Whose archive is expanded next: a message to plan is a turn, the rows decide for whom."""

import uuid
from typing import Any

import pytest

from pipeline.clock import new_id
from pipeline.core import jobs, planning, transitions
from pipeline.core.context import Context
from pipeline.store.database import as_uuid, execute, session
from tests.support import factories as make


def sized(size_bytes: int, **told: Any) -> uuid.UUID:
    """Submit a job with a source of this size."""
    return make.pending_job(tasks=1, source={"size_bytes": size_bytes}, **told)


def test_next_plan_is_that_of_the_highest_priority_then_of_the_smallest_source(
    context: Context,
) -> None:
    huge, large, small = (sized(size) for size in (10**9, 10**8, 1000))
    urgent = sized(10**9, priority=9)
    planned = []
    for _ in range(5):
        planning.plan_next("trivial", context)
        planned += [job.id for job in jobs.listed() if job.planned_at and job.id not in planned]
    assert planned == [urgent, small, large, huge]


def test_old_job_is_planned_before_smaller_ones_that_came_much_later() -> None:
    old, young = new_id(), uuid.UUID(int=new_id().int + (3600 * 1000 << 80))
    big = planning.Waiting(old, 5, 500 * 1024 * 1024)
    assert big.rank < planning.Waiting(young, 5, 10).rank
    assert big.rank > planning.Waiting(new_id(), 5, 10).rank


def test_message_whose_turn_somebody_else_took_plans_another(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = sized(10), sized(10**6)
    claim = transitions.claim_job

    def late(job_id: uuid.UUID, **told: Any) -> int | None:
        return None if job_id == small else claim(job_id, **told)

    monkeypatch.setattr(transitions, "claim_job", late)
    planning.plan_next("trivial", context)
    assert jobs.get(large).planned_at is not None
    assert jobs.get(small).planned_at is None
    planning.plan_next("trivial", context)


@pytest.mark.parametrize("source", ["[1", '"x"', '{"size_bytes": "x"}', '{"size_bytes": 1e999}'])
def test_source_that_nobody_can_read_keeps_no_other_job_from_its_plan(
    context: Context, source: str
) -> None:
    bent, good = sized(10), sized(10)
    with session():
        execute("UPDATE jobs SET source = %s WHERE id = %s", source, bent.hex)
    for _ in range(2):
        planning.plan_next("trivial", context)
    with session():
        rows = execute("SELECT id, planned_at IS NOT NULL FROM jobs")
    assert {as_uuid(job_id): bool(planned) for job_id, planned in rows} == {bent: True, good: True}
