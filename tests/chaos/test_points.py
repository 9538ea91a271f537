"""Processes that die between two steps, at each of the named points in turn."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import Client
from pipeline.failpoints import OUTSIDE, Point
from tests.chaos.conftest import Form, told
from tests.support import mortal
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import Census, Process, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

#: Where a worker process can die.
WORKER = [point for point in Point if point not in {Point.SUBMITTED, Point.RECOVERED, *OUTSIDE}]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """An empty folder for the tokens."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    return folder


def mortal_env(fleet: Fleet, tokens: Path) -> dict[str, str]:
    return {**fleet.env, mortal.TOKENS: str(tokens)}


def mortal_scheduler(fleet: Fleet, tokens: Path) -> Process:
    command = [sys.executable, "-m", "tests.support.mortal.scheduler"]
    return Process("scheduler", command, mortal_env(fleet, tokens), fleet.logs)


def kill_at_every_point(
    fleet: Fleet, tokens: Path, form: Form, submit: Callable[[], object], what: str
) -> None:
    """Lay a token at each point, submit until all are taken; so many rounds."""
    workers = [fleet.worker(f"worker{n}", module="tests.support.mortal.actors") for n in range(2)]
    for worker in workers:
        worker.env = mortal_env(fleet, tokens)
    scheduler = mortal_scheduler(fleet, tokens)
    census, rounds = Census(*workers, scheduler), form.of(1, 10)
    points = [*WORKER, Point.RECOVERED]

    def all_taken() -> bool:
        census.take()
        found = fleet.recount()
        if found.accepted == found.terminal:
            submit()
        return not mortal.left(tokens)

    with supervised(*workers, scheduler) as supervisors:
        for _ in range(rounds):
            mortal.lay(tokens, points)
            what_is_left = f"{len(points)} tokens taken"
            eventually(all_taken, within_s=120, what=what_is_left, every_s=0.2)
            found = fleet.settled(within_s=90)
        kills = sum(supervisor.restarts for supervisor in supervisors)
    found.leftovers = len(census.left())
    told(found, what, points=len(points), tokens=rounds * len(points), restarts=kills)
    assert found.recovered > 0
    assert kills > 0


def test_trivial_tasks_survive_a_kill_at_every_point(
    fleet: Fleet, tokens: Path, form: Form
) -> None:
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20})
    submit = lambda: fleet.submit(30)  # noqa: E731
    kill_at_every_point(fleet, tokens, form, submit, "killed at every point, trivial tasks")


def test_lint_jobs_survive_a_kill_at_every_point(fleet: Fleet, tokens: Path, form: Form) -> None:
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20, "batch_tasks": 5})
    files = {f"{n}.sql": f"SELECT a{n},  b FROM t{n}\n".encode() for n in range(15)}
    with Client(fleet.settings) as client:

        def submit() -> None:
            job = client.lint(files, dialect="ansi", cache=False)
            fleet.accepted[job.id] = Wanted(len(files))

        kill_at_every_point(fleet, tokens, form, submit, "killed at every point, lint jobs")


def test_submitters_that_die_between_row_and_message_have_submitted(
    fleet: Fleet, tokens: Path, form: Form
) -> None:
    number = form.of(3, 20)
    mortal.lay(tokens, [Point.SUBMITTED] * number)
    command = [sys.executable, "-m", "tests.support.mortal.submitter", "20"]
    submitters = [
        Process(f"submitter{n}", command, mortal_env(fleet, tokens), fleet.logs)
        for n in range(number)
    ]
    for submitter in submitters:
        assert submitter.start().wait() == -signal.SIGKILL
    assert fleet.recount().accepted == number
    with supervised(fleet.worker(), fleet.scheduler()):
        found = fleet.settled(within_s=60)
    told(found, "submitters killed between row and message", kills=number)
    assert found.tasks == number * 20
