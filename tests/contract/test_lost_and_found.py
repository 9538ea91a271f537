"""What the sweep finds in corners: unknown kinds, reports that kill, queues never empty."""

import pytest

from pipeline import broker
from pipeline.core import finishing, jobs, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.sweep import sweep
from pipeline.errors import DatabaseUnavailable
from pipeline.states import JobState
from pipeline.store.database import execute, session
from tests.support import factories as make


def of_a_newer_version() -> None:
    """Make every job one of a kind that this process does not know."""
    with session():
        execute("UPDATE jobs SET kind = 'from_the_future'")


def test_kind_of_a_newer_version_stops_no_sweep(context: Context) -> None:
    make.pending_job(owner="planned by nobody")
    make.planned_job(context, owner="sent by nobody")
    of_a_newer_version()
    job_id = make.planned_job(context, tasks=2)
    unplanned = make.pending_job()
    make.take_messages()
    make.age_hints(3600)
    swept = sweep(context)
    assert swept.lost_hints == 2
    told = make.take_messages()
    assert ("plan_trivial", (str(unplanned),)) in told
    assert [args[0] for actor, args in told if actor == "work_trivial"] == [str(job_id)]


def test_accepted_job_is_told_though_its_row_cannot_be_marked_as_due(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is away and then the database, too: the job's row stands, so it is accepted."""

    def away(*_: object) -> bool:
        def gone(*_: object) -> None:
            raise DatabaseUnavailable("It went away.")

        monkeypatch.setattr("pipeline.core.jobs.execute", gone)
        return False

    monkeypatch.setattr(broker, "send", away)
    job_id = make.pending_job()
    monkeypatch.undo()
    make.age_hints(3600)
    sweep(context)
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_reports_that_kill_their_worker_every_time_are_given_up(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    for _ in range(context.settings.max_attempts + 2):
        told = transitions.claim_job(job_id, phase="finish", worker="killed", lease_s=60)
        assert told is not None
        make.let_leases_lapse()
        make.age_hints(3600)
    make.take_messages()
    sweep(context)
    job = jobs.get(job_id)
    assert job.state == JobState.SUCCEEDED
    assert job.finalized_at is not None
    assert "error" in job.result
    assert (job.worker, job.lease_until) == (None, None)
    finishing.run_finish(job_id, context)
    assert "error" in jobs.get(job_id).result


def test_lost_hint_is_found_behind_a_queue_that_is_never_empty(context: Context) -> None:
    """The messages of other jobs come and go; what was sent long before them cannot be there."""
    small = context.settings.model_copy(update={"batch_tasks": 2, "window": 20})
    context = Context(small, context.blobs)
    lost = make.planned_job(context, tasks=2)
    make.take_messages()
    make.age_hints(3600)
    busy = make.planned_job(context, tasks=6)
    assert len(make.claimed(context, busy)[:2]) == 2
    assert broker.waiting("trivial_work")
    assert sweep(context).lost_hints == 2
    told = [args[0] for actor, args in make.take_messages() if actor == "work_trivial"]
    assert told.count(str(lost)) == 1


def test_hint_that_waits_its_turn_in_a_long_queue_is_not_sent_again(context: Context) -> None:
    make.planned_job(context, tasks=3)
    make.age_hints(3600)
    assert broker.waiting("trivial_work")
    assert sweep(context).lost_hints == 0
    assert dispatch("trivial", context) == 0
