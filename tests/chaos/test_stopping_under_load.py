"""SIGTERM under load, again and again: what is in hand ends or is handed back, nothing fails."""

import itertools
import signal
import time

import psycopg
import pytest

from pipeline import Client
from tests.chaos.conftest import Form, told
from tests.support import submitter
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import Census, Process, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def strikes(fleet: Fleet) -> int:
    """Return how many runs of tasks counted as bad."""
    with psycopg.connect(fleet.settings.database) as connection:
        row = connection.execute("SELECT COALESCE(sum(strikes), 0) FROM tasks").fetchone()
    assert row is not None
    return int(row[0])


def ended(process: Process) -> float:
    """Return the seconds until the process ended by itself, and well."""
    began = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began


def test_stopped_again_and_again_under_load(fleet: Fleet, form: Form) -> None:
    """Worker and scheduler are asked to stop in mid-job; a successor of each goes on."""
    stops, files = form.of(3, 20), form.of(200, 1000)
    fleet.settings = fleet.settings.model_copy(update={"batch_tasks": 20, "lease_s": 10.0})
    salts = (f"{n:03}" for n in itertools.count())
    with Client(fleet.settings) as client:

        def submit() -> None:
            given = submitter.files(files, next(salts))
            job = client.lint(given, dialect="ansi", cache=False)
            fleet.accepted[job.id] = Wanted(files)
            fleet.submit(40, pause_s=0.05)

        submit()
        slowest_s = 0.0
        for number in range(stops):
            worker = fleet.worker(f"worker{number}", processes=2, threads=2)
            scheduler = fleet.scheduler(f"scheduler{number}")
            census = Census(worker, scheduler)
            with running(worker, scheduler):
                before = fleet.recount()
                if before.tasks - before.succeeded < files:
                    submit()
                eventually(
                    lambda: fleet.recount().succeeded >= before.succeeded + files // 20,  # noqa: B023
                    within_s=60,
                    every_s=0.1,
                )
                census.take()
                worker.signal(signal.SIGTERM)
                scheduler.signal(signal.SIGTERM)
                slowest_s = max(slowest_s, ended(worker), ended(scheduler))
            assert fleet.recount().leases == 0
            assert strikes(fleet) == 0
            assert census.left() == []
        with running(fleet.worker("last"), fleet.scheduler()):
            found = fleet.settled(within_s=form.of(60, 300))
    told(found, f"SIGTERM under load x {stops}", slowest_s=round(slowest_s, 1), strikes=0)
    assert strikes(fleet) == 0
