"""SQL linting while workers and their lint children die: the results stay the same, and only a
file that kills its own child fails."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from pipeline import Client, Job
from pipeline.core import jobs
from tests.chaos.conftest import Form, told
from tests.support import frail
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import Census, running, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

SHOP = Path(__file__).parents[1] / "samples" / "shop"
COPIES = 5


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Client]:
    """A client of the fleet, which bears many lost workers."""
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20, "batch_tasks": 8})
    with Client(fleet.settings) as opened:
        yield opened


def shop(copies: int) -> dict[str, bytes]:
    """Return the sample archive so many times, each in a folder of its own."""
    files = {path.relative_to(SHOP).as_posix(): path.read_bytes() for path in files_of(SHOP)}
    return {f"{n}/{name}": content for n in range(copies) for name, content in files.items()}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_killed_workers_and_children_change_no_result(fleet: Fleet, client: Client) -> None:
    worker = fleet.worker(module="actors", processes=2, threads=2)
    census, chance = Census(worker), random.Random(3)
    with supervised(worker), running(fleet.scheduler()):
        calm = client.lint(shop(1), dialect="postgres").wait(timeout_s=60)
        job = client.lint(shop(COPIES), dialect="postgres", cache=False)
        files = calm.progress().total
        fleet.accepted = {calm.id: Wanted(files), job.id: Wanted(COPIES * files)}
        for number in range(4):
            eventually(lambda: job.progress().done >= 30 * number + 5, within_s=60)  # noqa: B023
            census.take()
            workers = worker.worker_pids()
            victims = workers if number % 2 else lint_children(workers)
            if victims:
                os.kill(chance.choice(victims), signal.SIGKILL)
        found = fleet.settled(within_s=90)
        expected = {file.path.partition("/")[2]: file.result for file in calm.results()}
        got = list(job.results())
    found.leftovers = len(census.left())
    told(found, "the sample shop, lint workers and children killed", files=len(got))
    assert len(got) == COPIES * len(expected)
    for file in got:
        assert file.result == expected[file.path.partition("/")[2]], file.path


def lint_children(workers: list[int]) -> list[int]:
    """Return the processes below the worker processes."""
    found = []
    for pid in workers:
        with suppress(psutil.NoSuchProcess):
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return found


def test_file_that_kills_its_lint_child_fails_and_its_neighbours_do_not(
    fleet: Fleet, form: Form, tmp_path: Path
) -> None:
    number = form.of(40, 400)
    files = {f"{n}.sql": f"SELECT a{n},  b FROM t{n}\n".encode() for n in range(number)}
    bad = {f"bad{n}.sql": frail.CRASHING for n in range(form.of(3, 20))}
    workers = [fleet.worker(f"worker{n}", module="tests.support.frail", processes=2) for n in "12"]
    for worker in workers:
        worker.env |= frail.lay(tmp_path)
    with Client(fleet.settings) as client, running(*workers, fleet.scheduler()):
        before = [worker.worker_pids() for worker in workers]
        job = client.lint(files | bad, dialect="ansi", cache=False).wait(timeout_s=120)
        tasks = list(jobs.tasks(jobs.get(job.id).id))
        places = {task["seq"]: "failed/crashed" for task in tasks if task["name"] in bad}
        fleet.accepted[job.id] = Wanted(len(tasks), bad=places)
        found = fleet.settled(within_s=5)
        assert [worker.worker_pids() for worker in workers] == before
        assert job.status == "partial"
        assert len({event["actor"] for event in runs(job)}) > 1
    told(found, "files that kill their lint child", crashed=len(places), files=len(tasks))
    assert len(places) == len(bad)
    assert found.succeeded == number
    assert strikes(fleet) == dict.fromkeys(bad, fleet.settings.max_attempts)
    assert all("SIGSEGV" in task["message"] for task in tasks if task["name"] in bad)


def runs(job: Job) -> list[dict[str, Any]]:
    """Return the events by which tasks began to run."""
    return [each for each in job.events() if each["to_state"] == "running"]


def strikes(fleet: Fleet) -> dict[str, int]:
    """Return how many runs of tasks counted as bad, by name, where any did."""
    with psycopg.connect(fleet.settings.database) as connection:
        return dict(connection.execute("SELECT name, strikes FROM tasks WHERE strikes > 0"))


def test_stopped_worker_leaves_no_lint_child(fleet: Fleet, client: Client) -> None:
    worker = fleet.worker(module="actors", processes=2, threads=2)
    census = Census(worker)
    with running(worker, fleet.scheduler()):
        job = client.lint(shop(COPIES), dialect="postgres", cache=False)
        eventually(lambda: job.progress().done >= 5, within_s=60)
        census.take()
        assert lint_children(worker.worker_pids())
        worker.signal(signal.SIGTERM)
        assert worker.wait(within_s=60) == 0
        assert census.left() == []
        assert fleet.recount().leases == 0
        job.cancel()


def test_worker_that_is_killed_alone_leaves_no_lint_child(fleet: Fleet, client: Client) -> None:
    """Its master and its process group live on: the children must notice by themselves."""
    worker = fleet.worker(module="actors", processes=1, threads=2)
    with running(worker):
        job = client.lint(shop(COPIES), dialect="postgres", cache=False)
        eventually(lambda: job.progress().done >= 5, within_s=60)
        [pid] = worker.worker_pids()
        children = psutil.Process(pid).children(recursive=True)
        assert children
        os.kill(pid, signal.SIGKILL)
        assert psutil.wait_procs(children, timeout=10)[1] == []
