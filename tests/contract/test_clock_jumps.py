"""A database clock that jumped: live work keeps its lease, and nothing waits for times to come."""

import time
from collections.abc import Callable

import pytest

from pipeline.core import jobs, jumps
from pipeline.core.context import Context
from pipeline.core.sweep import sweep
from pipeline.states import JobState
from pipeline.store.database import dialect, execute, session
from tests.support import factories as make


def shift(seconds: float) -> None:
    """Move every time in the rows, which is what a jump of the clock the other way looks like."""
    with session():
        for table in ("tasks", "jobs"):
            for column in ("lease_until", "not_before", "hinted_at"):
                moved = dialect().moved(column, "%s")
                execute(
                    f"UPDATE {table} SET {column} = {moved} WHERE {column} IS NOT NULL", seconds
                )


@pytest.fixture
def jumped(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the database's clock seem so many seconds off from the next look on."""
    honest = jumps._database_time

    def by(seconds: float) -> None:
        monkeypatch.setattr(jumps, "_database_time", lambda: honest() + seconds)

    return by


def test_lease_of_live_work_outlives_a_jump_ahead(
    context: Context, jumped: Callable[[float], None]
) -> None:
    job_id = make.planned_job(context, tasks=3)
    claims = make.claimed(context, job_id)
    sweep(context)
    jumped(300)
    shift(-300)
    assert sweep(context).lost_tasks == 0
    assert make.close(job_id, claims)
    assert jobs.get(job_id).state == JobState.SUCCEEDED


def test_worker_that_is_lost_is_found_a_lease_after_a_jump_ahead(
    context: Context, jumped: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.claimed(context, job_id)
    sweep(context)
    jumped(300)
    shift(-300)
    sweep(context)
    honest, lease_s = time.monotonic, context.settings.lease_s
    monkeypatch.setattr("pipeline.core.jumps.time.monotonic", lambda: honest() + lease_s)
    jumped(300 + lease_s)
    assert sweep(context).lost_tasks == 3


def test_nothing_waits_for_times_that_a_clock_set_back_has_left(
    context: Context, jumped: Callable[[float], None]
) -> None:
    job_id = make.planned_job(context, tasks=3)
    unplanned = make.pending_job()
    make.take_messages()
    sweep(context)
    jumped(-300)
    shift(300)
    sweep(context)
    make.age_hints(3600)
    sweep(context)
    told = make.take_messages()
    assert ("plan_trivial", (str(unplanned),)) in told
    assert [args[0] for actor, args in told if actor == "work_trivial"] == [str(job_id)]
    assert len(make.claimed(context, job_id)) == 3


def test_lease_that_a_clock_set_back_has_left_lapses_in_its_own_time(
    context: Context, jumped: Callable[[float], None]
) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.claimed(context, job_id)
    sweep(context)
    jumped(-3600)
    shift(3600)
    sweep(context)
    with session():
        lapses = execute(
            f"SELECT count(*) FROM tasks WHERE lease_until <= {dialect().later('%s')}",
            context.settings.lease_s + 1,
        )
    assert lapses == [(3,)]


def test_process_that_did_not_see_the_clock_set_back_clamps_what_lies_too_far_ahead(
    context: Context,
) -> None:
    job_id = make.planned_job(context, tasks=3)
    shift(context.settings.backoff_max_s + 3600)
    sweep(context)
    assert len(make.claimed(context, job_id)) == 3


def test_lease_renewed_since_the_clock_was_set_back_is_kept(
    context: Context, jumped: Callable[[float], None]
) -> None:
    job_id = make.planned_job(context, tasks=3)
    sweep(context)
    jumped(-300)
    claims = make.claimed(context, job_id)
    assert sweep(context).lost_tasks == 0
    assert make.close(job_id, claims)
