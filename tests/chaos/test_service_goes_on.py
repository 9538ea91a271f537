"""``quayline worker``, as `make worker` and the deploy files run it: it mends itself in seconds."""

import signal
import sys
import time

import psutil
import psycopg
import pytest

from pipeline import Client
from tests.chaos.conftest import told
from tests.support import submitter
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import READY, Process, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

FILES = 400
PROCESSES = 2

#: Two processes boot within a few seconds; the first pause before that is one second.
REPLACED_S = 15.0


def service(fleet: Fleet) -> Process:
    """Return ``quayline worker``, not yet started."""
    command = [sys.executable, "-m", "pipeline.cli", "worker", "-p", str(PROCESSES), "-t", "2"]
    return Process("service", command, fleet.env, fleet.logs)


def masters(of: Process) -> list[psutil.Process]:
    """Return dramatiq's master, if there is one now."""
    return psutil.Process(of.pid).children()


def booting(of: Process) -> list[psutil.Process]:
    """Return the worker processes, the first one first, once there are as many as there will be."""
    keepers = [child for master in masters(of) for child in master.children()]
    children = [child for keeper in keepers for child in keeper.children()]
    workers = [each for each in children if "resource_tracker" not in " ".join(each.cmdline())]
    return sorted(workers, key=lambda each: each.pid) if len(workers) == PROCESSES else []


def at_work(fleet: Fleet) -> list[psutil.Process]:
    """Return the worker processes that hold tasks; a holder is ``host:process/claim``."""
    with psycopg.connect(fleet.settings.database) as connection:
        rows = connection.execute("SELECT DISTINCT worker FROM tasks WHERE state = 'running'")
    workers = {name.rpartition("/")[0] for (name,) in rows}
    return [psutil.Process(int(name.rpartition(":")[2])) for name in workers]


def strikes(fleet: Fleet) -> int:
    """Return how many tasks have ended badly once."""
    with psycopg.connect(fleet.settings.database) as connection:
        return len(connection.execute("SELECT 1 FROM tasks WHERE strikes > 0").fetchall())


def ready_again(worker: Process, before: int, more: int = PROCESSES) -> float:
    """Return the seconds until so many worker processes more are ready."""
    began = time.monotonic()
    eventually(
        lambda: worker.said(READY) >= before + more, within_s=60, what="the workers are ready"
    )
    return round(time.monotonic() - began, 1)


def held_at_work(fleet: Fleet) -> psutil.Process | None:
    """Return a worker process that stands still in the middle of a batch."""
    for each in at_work(fleet):
        each.suspend()
        if each in at_work(fleet):
            return each
        each.resume()
    return None


@pytest.mark.parametrize("role", ["worker process", "master"])
def test_killed_process_is_replaced_within_seconds_and_its_batch_retried(
    fleet: Fleet, role: str
) -> None:
    fleet.settings = fleet.settings.model_copy(update={"batch_tasks": 20})
    worker = service(fleet)
    with Client(fleet.settings) as client, running(worker, fleet.scheduler()):
        ready_again(worker, 0)
        job = client.lint(submitter.files(FILES, "000"), dialect="ansi", cache=False)
        fleet.accepted[job.id] = Wanted(FILES)
        eventually(lambda: job.progress().done > FILES // 10, within_s=30)
        held = eventually(lambda: held_at_work(fleet), within_s=30)
        assert held is not None
        victim = masters(worker)[0] if role == "master" else held
        beside = [each for each in booting(worker) if each != victim]
        victim.kill()
        # Another worker process goes on; only a master takes all with it.
        lost = PROCESSES if role == "master" else 1
        replaced_s = ready_again(worker, PROCESSES, lost)
        found = fleet.settled(within_s=60)
        assert [each.is_running() for each in beside] == [role != "master"] * len(beside)
        assert worker.said(READY) == PROCESSES + lost
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    told(found, f"{role} of quayline worker killed", replaced_s=replaced_s)
    assert replaced_s < REPLACED_S
    assert found.recovered > 0


def test_service_that_is_stopped_under_load_gives_back_what_it_holds(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"batch_tasks": 20})
    worker = service(fleet)
    with Client(fleet.settings) as client, running(worker):
        ready_again(worker, 0)
        job = client.lint(submitter.files(FILES, "000"), dialect="ansi", cache=False)
        eventually(lambda: job.progress().done > FILES // 10, within_s=30)
        eventually(lambda: at_work(fleet), within_s=30)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert job.progress().done < FILES
        found = fleet.recount()
    assert found.leases == 0
    assert strikes(fleet) == 0


def test_process_that_is_killed_while_it_boots_is_replaced_within_seconds(fleet: Fleet) -> None:
    worker = service(fleet)
    with running(worker):
        victim = eventually(lambda: booting(worker), within_s=30, every_s=0.01)[0]
        [master] = masters(worker)
        assert worker.said(READY) == 0
        victim.kill()
        assert ready_again(worker, 0) < REPLACED_S
        assert masters(worker) == [master]
