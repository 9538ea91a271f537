"""A commit whose answer was lost: it happened, nobody was told, and the rows are asked."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.core import jobs, planning, runner
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.sweep import sweep
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import Settings
from pipeline.states import JobState
from pipeline.store.database import execute, session
from tests.support import factories as make
from tests.support.recount import Wanted, recount
from tests.support.waiting import eventually
from tests.support.wire import Wire, wire


@pytest.fixture
def cable(database: str) -> Iterator[Wire]:
    """A wire to an empty database."""
    with wire(database) as opened:
        yield opened


@pytest.fixture
def opened(cable: Wire, tmp_path: Path) -> Iterator[Context]:
    """A context whose database is at the other end of the wire; messages stay in memory."""
    yield open_context(Settings(state_dir=tmp_path, database_url=cable.url, backoff_s=0.0))
    close_context()


def strikes() -> int:
    with session():
        [(number,)] = execute("SELECT COALESCE(sum(strikes), 0) FROM tasks")
    return int(number)


def test_submission_whose_commit_was_not_answered_is_accepted_once(
    opened: Context, cable: Wire
) -> None:
    cable.cut()
    job_id = make.pending_job(tasks=0)
    assert cable.cuts == 1
    assert [job.id for job in jobs.listed()] == [job_id]
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_batch_whose_claim_was_not_answered_is_worked_on_without_a_strike(
    opened: Context, cable: Wire
) -> None:
    job_id = make.planned_job(opened, tasks=5)
    cable.cut()
    make.work_off(job_id, opened)
    assert cable.cuts == 1
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    assert strikes() == 0


@pytest.mark.parametrize("tasks", [1, 5])
def test_close_that_was_not_answered_ends_the_job_once_and_is_announced(
    opened: Context, cable: Wire, monkeypatch: pytest.MonkeyPatch, tasks: int
) -> None:
    job_id = make.planned_job(opened, tasks=tasks)
    make.take_messages()
    write = runner.Ledger._write

    def cut_once(ledger: runner.Ledger) -> None:
        monkeypatch.setattr(runner.Ledger, "_write", write)
        cable.cut(2)
        write(ledger)

    monkeypatch.setattr(runner.Ledger, "_write", cut_once)
    make.work_off(job_id, opened)
    assert cable.cuts == 2
    assert ("finish_job", (str(job_id),)) in make.take_messages()
    found = recount(opened.settings.database, expected={str(job_id): Wanted(tasks)})
    assert (found.succeeded, found.doubled, found.lost, found.miscounted) == (tasks, 0, 0, 0)


def test_plan_whose_commits_are_not_answered_inserts_each_task_once(
    opened: Context, cable: Wire
) -> None:
    job_id = make.pending_job(tasks=40)
    for spared in range(5):
        cable.cut(after=spared)
        with suppress(DatabaseUnavailable):
            planning.run_plan(job_id, opened)
        cable.cut(0)
        make.let_leases_lapse()

    def ended() -> bool:
        make.age_hints(3600)
        sweep(opened)
        for actor, (told, *rest) in make.take_messages():
            if actor == "plan_trivial":
                planning.run_plan(uuid.UUID(told), opened)
            elif actor == "work_trivial":
                runner.run_batch(uuid.UUID(told), uuid.UUID(rest[0]), opened)
        return jobs.get(job_id).state == JobState.SUCCEEDED

    eventually(ended, within_s=20)
    # The claim's and the insert's always; how many more depends on how far each run got.
    assert cable.cuts >= 2
    found = recount(opened.settings.database, expected={str(job_id): Wanted(40)})
    assert (found.tasks, found.succeeded, found.doubled, found.lost) == (40, 40, 0, 0)
