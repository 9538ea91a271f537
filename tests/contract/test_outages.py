"""What the surroundings do wrong is borne: plans and reports are tried again without a strike."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.core import finishing, jobs, planning, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.retries import OUTAGE_PAUSES
from pipeline.errors import DatabaseUnavailable, QuaylineError, StorageUnavailable
from pipeline.store.database import dialect, execute, session
from tests.support import factories as make

#: Runs in vain: more than a job has attempts, whatever ends them.
RUNS = 12
FULL = StorageUnavailable("The blob storage does not work: No space left on device.")
AWAY = DatabaseUnavailable("The database does not answer: the connection was cut.")
each_error = pytest.mark.parametrize("error", [FULL, AWAY], ids=["storage", "database"])

Raising = Callable[[str, QuaylineError | None], None]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raising:
    """Let a step of the trivial kind raise, or work again."""

    def make_it_raise(step: str, error: QuaylineError | None) -> None:
        monkeypatch.undo()

        def fails(*_: Any) -> None:
            assert error is not None
            raise error

        if error is not None:
            monkeypatch.setattr(f"tests.support.trivial.{step}.{step}", fails)

    return make_it_raise


def ended_job(context: Context) -> uuid.UUID:
    """Return a job whose tasks have ended, and whose reports are to be written."""
    job_id = make.planned_job(context)
    make.close(job_id, make.claimed(context, job_id))
    return job_id


def let_pauses_pass() -> None:
    """Make due what waits out a pause."""
    with session():
        execute(f"UPDATE jobs SET not_before = {dialect().later('-1')}")


def long_ago(job_id: uuid.UUID, column: str, context: Context) -> None:
    """Let the step have begun before the longest outage that is borne."""
    seconds = OUTAGE_PAUSES * context.settings.backoff_max_s + 1
    with session():
        past = dialect().later("%s")
        execute(f"UPDATE jobs SET {column} = {past} WHERE id = %s", -seconds, job_id.hex)


@each_error
def test_plan_is_tried_until_the_outage_is_over(
    context: Context, raising: Raising, error: QuaylineError
) -> None:
    job_id = make.pending_job()
    raising("plan", error)
    for _ in range(RUNS):
        planning.run_plan(job_id, context)
        let_pauses_pass()
    job = jobs.get(job_id)
    assert (job.state, job.attempt, job.message) == ("running", 0, error.message)
    raising("plan", None)
    planning.run_plan(job_id, context)
    job = jobs.get(job_id)
    assert (job.total, job.message) == (3, "")


@each_error
def test_reports_are_tried_until_the_outage_is_over(
    context: Context, raising: Raising, error: QuaylineError
) -> None:
    job_id = ended_job(context)
    raising("finish", error)
    for _ in range(RUNS):
        finishing.run_finish(job_id, context)
        let_pauses_pass()
    job = jobs.get(job_id)
    assert (job.finalized_at, job.attempt) == (None, 0)
    raising("finish", None)
    finishing.run_finish(job_id, context)
    assert jobs.get(job_id).result == {"done": 3}


@pytest.mark.parametrize("failing", range(4))
def test_outage_that_only_hits_what_is_sent_beside_a_plan_loses_no_task(
    context: Context, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """On PostgreSQL a plan may learn of it at its next step, or end before."""
    called = []

    def fails_once(kind_name: str, where: Context) -> int:
        called.append(kind_name)
        if len(called) == failing + 1:
            raise AWAY
        return dispatch(kind_name, where)

    monkeypatch.setattr(planning, "dispatch", fails_once)
    monkeypatch.setattr("tests.support.trivial.plan.FIRST_CHUNK", 1)
    monkeypatch.setattr("tests.support.trivial.plan.CHUNK", 1)
    job_id = make.pending_job(tasks=4)
    planning.run_plan(job_id, context)
    if jobs.get(job_id).planned_at is None:
        assert (jobs.get(job_id).attempt, jobs.get(job_id).message) == (0, AWAY.message)
        let_pauses_pass()
        planning.run_plan(job_id, context)
    while make.batches(job_id):
        make.work_off(job_id, context)
    job = jobs.get(job_id)
    assert (job.state, job.total, job.succeeded) == ("succeeded", 4, 4)


def test_plan_whose_storage_stays_away_fails_with_the_reason(
    context: Context, raising: Raising
) -> None:
    job_id = make.pending_job()
    raising("plan", FULL)
    planning.run_plan(job_id, context)
    let_pauses_pass()
    long_ago(job_id, "started_at", context)
    for _ in range(context.settings.max_attempts):
        assert jobs.get(job_id).state == "running"
        planning.run_plan(job_id, context)
    job = jobs.get(job_id)
    assert (job.state, job.reason, job.message) == ("failed", "storage", FULL.message)


def test_reports_whose_storage_stays_away_are_given_up_with_the_sentence(
    context: Context, raising: Raising
) -> None:
    job_id = ended_job(context)
    long_ago(job_id, "finished_at", context)
    raising("finish", FULL)
    for _ in range(context.settings.max_attempts):
        assert jobs.get(job_id).finalized_at is None
        finishing.run_finish(job_id, context)
    job = jobs.get(job_id)
    assert (job.state, job.result) == ("succeeded", {"error": FULL.message})


def test_outage_in_which_even_that_cannot_be_written_leaves_it_to_the_lease(
    context: Context, raising: Raising, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = make.pending_job()
    raising("plan", AWAY)

    def away(*_: Any, **__: Any) -> None:
        raise AWAY

    monkeypatch.setattr(transitions, "put_back_job", away)
    planning.run_plan(job_id, context)
    assert jobs.get(job_id).lease_until is not None
