"""Faults in mid-job, on real servers and processes: nothing is lost, nothing is done twice.

Each test ends with a recount of the rows by SQL of its own and one line of figures. The servers
are private to the tests; lease and hint times are short, so that faults are noticed in seconds.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.chaos.conftest import told
from tests.support.faults import Fleet
from tests.support.recount import Recount
from tests.support.servers import Postgres, Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Census, Worker, running, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


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
