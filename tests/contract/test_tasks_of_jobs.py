"""A task has a job and goes with it, on SQLite and PostgreSQL alike."""

import uuid

import peewee
import pytest

from pipeline.clock import new_id
from pipeline.core.context import Context
from pipeline.store.database import as_uuid, execute, session, transaction
from tests.support import factories as make


def counted() -> dict[uuid.UUID, int]:
    """Return how many tasks there are of each job that has some."""
    with session():
        rows = execute("SELECT job_id, count(*) FROM tasks GROUP BY job_id")
    return {as_uuid(job_id): number for job_id, number in rows}


def test_database_refuses_tasks_of_no_job(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    row = "(%s, %s, %s, 'late', 'pending', '{}', '2026-01-02T03:04:05+00:00')"
    told = (new_id().hex, job_id.hex, 7, new_id().hex, new_id().hex, 8)
    with session(), pytest.raises(peewee.IntegrityError):
        execute(
            "INSERT INTO tasks (id, job_id, seq, name, state, payload, not_before)"
            f" VALUES {row}, {row}",
            *told,
        )
    assert counted() == {job_id: 1}


def test_tasks_go_with_their_jobs(context: Context) -> None:
    gone, kept, gone_too = (make.planned_job(context, tasks=number) for number in (3, 2, 1))
    with transaction():
        execute("DELETE FROM jobs WHERE id IN (%s, %s)", gone.hex, gone_too.hex)
    assert counted() == {kept: 2}
