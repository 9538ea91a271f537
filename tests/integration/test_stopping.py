"""Workers that are asked to stop, processes that are killed: what they held goes on elsewhere."""

import signal

import psutil
import psycopg
import pytest

from pipeline.core import jobs
from pipeline.states import JobState
from tests.support.faults import Fleet
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(120)


def strikes(fleet: Fleet) -> int:
    """Return how many runs of tasks counted as bad."""
    with psycopg.connect(fleet.settings.database) as connection:
        row = connection.execute("SELECT COALESCE(sum(strikes), 0) FROM tasks").fetchone()
    assert row is not None
    return int(row[0])


def test_stopped_worker_ends_its_step_and_gives_the_rest_back_without_a_strike(
    fleet: Fleet,
) -> None:
    first = fleet.worker("first", threads=2)
    with running(first):
        # Two batches of five tasks run, of two seconds each: too long to be waited for.
        job_id = fleet.submit(20, pause_s=2.0)
        eventually(lambda: fleet.recount().leases == 10, within_s=20)
        first.signal(signal.SIGTERM)
        assert first.wait(within_s=8) == 0
    found = fleet.recount()
    assert found.leases == 0, first.log_path.read_text()
    assert strikes(fleet) == 0
    assert 2 <= found.succeeded <= 4
    jobs.cancel(job_id, actor="ann")
    assert jobs.get(job_id).state == JobState.CANCELLED


def test_stopped_worker_loses_nothing_to_the_next_one(fleet: Fleet) -> None:
    first, second = fleet.worker("first", processes=2), fleet.worker("second")
    with running(first):
        fleet.submit(200, pause_s=0.02)
        eventually(lambda: fleet.recount().succeeded > 20, within_s=20)
        first.signal(signal.SIGTERM)
        assert first.wait(within_s=15) == 0
    assert fleet.recount().leases == 0
    with running(second, fleet.scheduler()):
        found = fleet.settled(within_s=40)
    assert found.sound, found.line("stopped")
    assert found.succeeded == 200
    assert strikes(fleet) == 0


def test_killed_master_takes_its_group_with_it_and_the_job_goes_on(fleet: Fleet) -> None:
    first = fleet.worker("first", processes=2)
    with running(first):
        fleet.submit(200, pause_s=0.02)
        eventually(lambda: fleet.recount().succeeded > 20, within_s=20)
        family = first.family()
        assert len(family) >= 2
        first.kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
    with running(fleet.worker("second"), fleet.scheduler()):
        found = fleet.settled(within_s=40)
    assert found.sound, found.line("killed")
    assert found.succeeded == 200


def test_frozen_worker_that_wakes_up_writes_nothing_that_was_given_on(fleet: Fleet) -> None:
    first, second = fleet.worker("first", threads=2), fleet.worker("second")
    with running(first):
        fleet.submit(60, pause_s=0.1)
        eventually(lambda: fleet.recount().succeeded > 5, within_s=20)
        zombies = first.worker_pids()
        for pid in zombies:
            psutil.Process(pid).suspend()
        with running(second, fleet.scheduler()):
            found = fleet.settled(within_s=60)
            for pid in zombies:
                psutil.Process(pid).resume()
            first.signal(signal.SIGTERM)
            first.wait(within_s=30)
        again = fleet.recount()
    assert found.sound, found.line("frozen")
    assert again == found
    assert found.succeeded == 60
