"""Faults in mid-job, on real servers and processes: nothing is lost, nothing is done twice.

Each test ends with a recount of the rows by SQL of its own and one line of figures. The servers
are private to the tests; lease and hint times are short, so that faults are noticed in seconds.
"""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.chaos.conftest import told
from tests.support.faults import Fleet
from tests.support.recount import Recount
from tests.support.servers import Postgres, Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Census, Worker, running, script, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

KILLS = 20


def progress(fleet: Fleet) -> Recount:
    return fleet.recount()


def at(fleet: Fleet, succeeded: int, *, within_s: float = 60) -> None:
    """Return once so many tasks have ended well."""
    eventually(
        lambda: progress(fleet).succeeded >= succeeded,
        within_s=within_s,
        what=f"{succeeded} tasks ended",
        every_s=0.1,
    )


def test_workers_are_killed(fleet: Fleet) -> None:
    patient = fleet.settings.model_copy(update={"max_attempts": 20})
    fleet.settings = patient
    workers = [fleet.worker(f"worker{n}", processes=2, threads=2) for n in range(2)]
    census = Census(*workers)
    chance = random.Random(2)
    with supervised(*workers), running(fleet.scheduler()):
        fleet.submit(400, pause_s=0.2)
        for _ in range(KILLS):
            before = progress(fleet)
            if before.tasks - before.succeeded < 100 and before.tasks:
                fleet.submit(200, pause_s=0.2)
            at(fleet, before.succeeded + 5)
            census.take()
            os.kill(chance.choice(eventually(lambda: alive(workers), within_s=30)), signal.SIGKILL)
        found = fleet.settled(within_s=90)
    told(found, f"{KILLS} worker processes killed")
    assert census.left() == []


def alive(workers: list[Worker]) -> list[int]:
    """Return the ids of the worker processes that have booted."""
    return [pid for worker in workers for pid in worker.worker_pids()]


def test_messages_vanish_and_the_scheduler_is_killed(fleet: Fleet, rabbit_node: Rabbit) -> None:
    scheduler = fleet.scheduler()
    with supervised(scheduler) as supervisors, running(fleet.worker(processes=2)):
        fleet.submit(300, pause_s=0.1)
        for number in (50, 100, 150):
            at(fleet, number)
            os.kill(scheduler.pid, signal.SIGKILL)
            with rabbit_node.channel() as channel:
                for queue in ("trivial_plan", "trivial_work", "monitoring"):
                    channel.queue_purge(queue)
        found = fleet.settled(within_s=90)
    told(found, "scheduler killed, messages gone", restarts=supervisors[0].restarts)


def test_two_schedulers_do_nothing_twice(fleet: Fleet) -> None:
    schedulers = [fleet.scheduler(f"scheduler{n}") for n in range(2)]
    with running(fleet.worker(processes=2), *schedulers):
        for _ in range(3):
            fleet.submit(60, pause_s=0.05)
        found = fleet.settled(within_s=60)
    told(found, "two schedulers")


KILLED_SUBMITTER = """
import os, signal
from pipeline import broker
from pipeline.core import jobs
from pipeline.core.context import open_context
from pipeline.core.jobs import Submission
from pipeline.core.kinds import register
from tests.support.trivial import KIND
register(KIND)
open_context()
broker.send = lambda messages: os.kill(os.getpid(), signal.SIGKILL)
jobs.submit(Submission(kind="trivial", parameters={"tasks": 20}))
"""


def test_submitter_is_killed_between_row_and_ring(fleet: Fleet) -> None:
    submitters = [script(f"submitter{n}", KILLED_SUBMITTER, fleet.env, fleet.logs) for n in "123"]
    for submitter in submitters:
        assert submitter.start().wait() == -signal.SIGKILL
    accepted = fleet.recount().accepted
    assert accepted == 3
    with running(fleet.worker(), fleet.scheduler()):
        eventually(lambda: fleet.recount().terminal == 3, within_s=40)
        found = fleet.recount()
    told(found, "submitters killed between row and ring")
    assert found.tasks == 60


def test_everything_at_once(
    mortal_fleet: Fleet, postgres_cluster: Postgres, rabbit_node: Rabbit
) -> None:
    fleet = mortal_fleet
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20})
    worker, scheduler = fleet.worker(processes=2, threads=3), fleet.scheduler()
    census = Census(worker)
    faults: list[Callable[[], None]] = [
        lambda: os.kill(alive([worker])[0], signal.SIGKILL),
        postgres_cluster.restart,
        lambda: rabbit_node.delete_queues(("trivial_work",)),
        lambda: os.kill(scheduler.pid, signal.SIGKILL),
        rabbit_node.restart,
        postgres_cluster.restart,
        worker.kill,
    ]
    with supervised(worker, scheduler):
        for _ in range(3):
            fleet.submit(120, pause_s=0.1)
        for number, fault in enumerate(faults, start=1):
            at(fleet, number * 25)
            census.take()
            with suppress(IndexError):
                fault()
        found = fleet.settled(within_s=120)
    told(found, "everything at once", faults=len(faults))
    assert census.left() == []
