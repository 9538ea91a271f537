"""Processes that are killed at random, whichever they are: the service goes on by itself."""

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import Client, Job
from tests.chaos.conftest import Form, told
from tests.chaos.leftovers import leftovers
from tests.support import submitter
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.servers import Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Census, Process, Worker, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


class Crowd:
    """The processes of one deployment, any of which may be killed."""

    def __init__(self, fleet: Fleet, files: int) -> None:
        self.fleet, self.files = fleet, files
        env = {**fleet.env, "TMPDIR": str(fleet.logs / "tmp")}
        Path(env["TMPDIR"]).mkdir()
        self.workers = [
            fleet.worker(f"worker{n}", module="actors", threads=2, processes=n + 1)
            for n in range(2)
        ]
        self.scheduler = fleet.scheduler()
        for each in (*self.workers, self.scheduler):
            each.env = env
        self.env = env
        self.census = Census(*self.workers, self.scheduler)
        self.kills: Counter[str] = Counter()
        self._submitters: list[Process] = []
        self._turns: list[str] = []

    def submit(self) -> Process:
        """Start a process that submits a job."""
        salt = f"{len(self._submitters):03}"
        command = [sys.executable, "-m", "tests.support.submitter", str(self.files), salt]
        process = Process(f"submitter{salt}", command, self.env, self.fleet.logs).start()
        self._submitters.append(process)
        return process

    def note_accepted(self) -> None:
        """Expect what submitters were told, be they dead or not."""
        for process in self._submitters:
            for job_id in re.findall(r"^accepted (\S+)$", process.log_path.read_text(), re.M):
                self.fleet.accepted[job_id] = Wanted(self.files)

    def kill_one(self, chance: random.Random) -> None:
        """Kill a living process of a random role, once there is one; each role has its turn before
        one comes again."""
        roles: dict[str, Callable[[], list[int]]] = {
            "worker master": lambda: [each.pid for each in self.workers if each.running()],
            "worker process": lambda: booted(self.workers),
            "lint process": lambda: below(booted(self.workers)),
            "scheduler": lambda: [self.scheduler.pid],
            "submitter": lambda: self._submitting(chance.uniform(0.0, 1.5)),
        }
        self._turns = self._turns or chance.sample(list(roles), len(roles))
        role = self._turns.pop()

        def killed() -> bool:
            return kill_living(chance.choice(eventually(roles[role], within_s=30, what=role)))

        eventually(killed, within_s=60, what=f"a living {role} is killed")
        self.kills[role] += 1

    def _submitting(self, after_s: float) -> list[int]:
        """Return a new submitter that is at work still after so many seconds; some are done."""
        submitter = self.submit()
        with suppress(subprocess.TimeoutExpired):
            submitter.wait(after_s)
            return []
        return [submitter.pid]

    def end_submitters(self) -> None:
        """Wait for those that live."""
        for process in self._submitters:
            process.wait()
        self.note_accepted()


def kill_living(pid: int) -> bool:
    """Kill the process; False when it had ended by itself.

    A signal to one that has ended is taken, too: it is made to stand still first, which only the
    living do.
    """
    try:
        victim = psutil.Process(pid)
        victim.suspend()
        ended = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        stands = (*ended, psutil.STATUS_STOPPED)
        eventually(lambda: victim.status() in stands, within_s=10, what="it stands still")
        is_living = victim.status() not in ended
        victim.kill()
    except psutil.NoSuchProcess:
        return False
    return is_living


def booted(workers: list[Worker]) -> list[int]:
    """Return the worker processes that there are."""
    return [pid for worker in workers if worker.running() for pid in worker.worker_pids()]


def below(workers: list[int]) -> list[int]:
    """Return the processes below the worker processes: zygotes and lint children."""
    found = []
    for pid in workers:
        with suppress(psutil.NoSuchProcess):
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return found


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Client]:
    """A client of the fleet, whose tasks bear many lost workers."""
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20, "batch_tasks": 20})
    with Client(fleet.settings) as opened:
        yield opened


def test_random_processes_are_killed(
    fleet: Fleet, client: Client, rabbit_node: Rabbit, form: Form
) -> None:
    kills, files = form.of(15, 100), form.of(200, 1000)
    crowd, chance = Crowd(fleet, files), random.Random(5)
    with supervised(*crowd.workers, crowd.scheduler):
        crowd.submit().wait()
        for _ in range(kills):
            before = fleet.recount()
            if before.tasks - before.succeeded < files // 2:
                crowd.submit().wait()
            at_least = before.succeeded + files // 50
            eventually(
                lambda: fleet.recount().succeeded >= at_least,  # noqa: B023
                within_s=60,
                what="work goes on",
                every_s=0.2,
            )
            crowd.census.take()
            crowd.kill_one(chance)
        crowd.end_submitters()
        found = fleet.settled(within_s=form.of(90, 300))
        expected = calm_results(client, files)
        for job_id in fleet.accepted:
            assert violations(client.job(job_id)) == expected, job_id
        found.leftovers = leftovers(fleet, rabbit_node, Path(crowd.env["TMPDIR"]))
    found.leftovers += len(crowd.census.left())
    hits = crowd.kills.total()
    told(found, f"{hits} random processes killed", files=files, **spelled(crowd.kills))
    assert hits == kills
    assert len(crowd.kills) == 5


def spelled(kills: Counter[str]) -> dict[str, int]:
    """Return the kills by role, as words of a line."""
    return {f"{role.replace(' ', '_')}_kills": number for role, number in kills.items()}


def calm_results(client: Client, files: int) -> dict[str, object]:
    """Return the violations of the same files, linted while nothing is killed."""
    calm = client.lint(submitter.files(files, "999"), dialect="ansi", cache=False)
    calm.wait(timeout_s=300)
    found = violations(calm)
    assert len(found) == files
    assert all(found.values())
    return found


def violations(job: Job) -> dict[str, object]:
    """Return each file's violations; None where a file has no result."""
    return {file.path: (file.result or {}).get("violations") for file in job.results()}
