"""Whole jobs on RabbitMQ and PostgreSQL, worked on by real processes."""

import pytest

from pipeline.core import jobs
from pipeline.states import JobState, Reason
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(120)


def test_job_runs_to_its_end_on_two_worker_processes(fleet: Fleet) -> None:
    with running(fleet.worker(processes=2)):
        job_id = fleet.submit(200, pause_s=0.01)
        found = fleet.settled(within_s=40)
    assert found.sound, found.line("two processes")
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    workers = {event["actor"] for event in jobs.events(job_id) if event["to_state"] == "running"}
    assert len(workers) == 2


def test_submitted_before_any_worker_runs_is_worked_on_later(fleet: Fleet) -> None:
    fleet.submit(20)
    with running(fleet.worker()):
        assert fleet.settled(within_s=30).sound


def test_cancel_ends_a_running_job_within_seconds(fleet: Fleet) -> None:
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(400, pause_s=0.1)
        eventually(lambda: jobs.get(job_id).done > 5, within_s=20)
        assert jobs.cancel(job_id, actor="ann")
        fleet.accepted[str(job_id)] = Wanted(400, is_stopped=True)
        found = fleet.settled(within_s=10)
    job = jobs.get(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED)
    assert job.succeeded > 5
    assert job.cancelled > 300
    assert found.sound, found.line("cancel")


def test_deadline_ends_a_running_job(fleet: Fleet) -> None:
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(400, pause_s=0.1, deadline_s=4)
        fleet.accepted[str(job_id)] = Wanted(400, is_stopped=True)
        found = fleet.settled(within_s=20)
    job = jobs.get(job_id)
    assert (job.state, job.reason) == (JobState.TIMED_OUT, Reason.DEADLINE)
    assert job.succeeded > 0
    assert job.timed_out > 0
    assert found.sound, found.line("deadline")
