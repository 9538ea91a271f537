"""SQL linting while workers and their lint children are killed: the report stays the same."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import Client
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import Census, running, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

SHOP = Path(__file__).parents[1] / "samples" / "shop"
COPIES = 8


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
            if number % 2 and workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
            elif children := lint_children(workers):
                # Not SIGKILL: a child's death by that is told as the kernel's "out of memory".
                os.kill(chance.choice(children), signal.SIGTERM)
        found = fleet.settled(within_s=90)
        expected = {file.path.partition("/")[2]: file.result for file in calm.results()}
        got = list(job.results())
    print(found.line("lint workers and children killed", files=len(got)))
    assert found.sound, found.line("lint")
    assert len(got) == COPIES * len(expected)
    for file in got:
        assert file.state == "succeeded", (file.path, file.reason, file.message)
        assert file.result == expected[file.path.partition("/")[2]], file.path
    assert census.left() == []


def lint_children(workers: list[int]) -> list[int]:
    """Return the processes below the worker processes."""
    found = []
    for pid in workers:
        with suppress(psutil.NoSuchProcess):
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return found


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
