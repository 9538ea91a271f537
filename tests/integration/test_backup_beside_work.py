"""A deployment at work is backed up, comes back elsewhere, and its open jobs end there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Client, Job
from pipeline.settings import Settings
from pipeline.store import database
from pipeline.store.database import execute, session
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.servers import Rabbit
from tests.support.services import own_database
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(240)

FINISHED, OPEN = 20, 400


def files(number: int, salt: str) -> dict[str, bytes]:
    """Return so many files, each with violations of its own."""
    return {
        f"{salt}/{n}.sql": b"SELECT a,  b%d FROM c -- %s\n" % (n, salt.encode())
        for n in range(number)
    }


def told(job: Job) -> list[tuple[str, object]]:
    """Return what a job's results say."""
    return [(file.path, file.result) for file in job.results()]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The URL of another empty database."""
    with own_database() as url:
        yield url


def open_tasks(settings: Settings) -> tuple[int, int]:
    """Return how many tasks of the restored rows are open, and how many have ended."""
    database.open_database(settings.database)
    try:
        with session():
            [(opened, ended)] = execute(
                "SELECT sum(CASE WHEN finished_at IS NULL THEN 1 ELSE 0 END),"
                " sum(CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END) FROM tasks"
            )
    finally:
        database.close_database()
    return int(opened), int(ended)


def test_deployment_on_servers_comes_back_with_its_open_jobs(
    fleet: Fleet, elsewhere: str, rabbit_node: Rabbit, tmp_path: Path
) -> None:
    backups = str(tmp_path / "backups")
    with (
        Client(fleet.settings) as client,
        running(fleet.worker(module="actors", threads=2), fleet.scheduler()),
    ):
        finished = client.lint(files(FINISHED, "done"), dialect="ansi")
        finished.wait(timeout_s=60)
        before, job_id = told(finished), finished.id
        jobs = [client.lint(files(OPEN, f"open{n}"), dialect="ansi") for n in range(2)]
        fleet.done(jobs[0]._id, 20)
        said = fleet.command("backup", backups)
        assert "files: 0" not in said
        client.lint(files(5, "late"), dialect="ansi")
        fleet.command("backup", backups)
    place = fleet.settings.state_dir.with_name("elsewhere")
    there = fleet.settings.model_copy(update={"database_url": elsewhere, "state_dir": place})
    rabbit_node.delete_queues(("zip_processing", "sql_analysis", "monitoring"))
    restored = Fleet(there, tmp_path)
    first = sorted(Path(backups).glob("backup-*.jsonl"))[0].name[7:-6]
    assert "migrations: 0" in restored.command("restore", backups, "--name", first)
    opened, ended = open_tasks(there)
    assert opened > 0
    assert ended > FINISHED
    restored.accepted = {job_id: Wanted(FINISHED)} | {job.id: Wanted(OPEN) for job in jobs}
    with running(
        restored.worker("worker2", module="actors", processes=2), restored.scheduler("scheduler2")
    ):
        found = restored.settled(within_s=120)
    assert found.accepted == 3, "the late one is in the second backup"
    assert found.sound, found.line("restored")
    assert "orphan files: 0" in restored.command("fsck")
    with Client(there, work=False) as client:
        assert told(client.job(job_id)) == before
        assert b"LT01" in client.job(jobs[1].id).report("sarif")


def test_embedded_service_comes_back_with_its_open_job(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", threads=1, lease_s=1.0, backoff_s=0.0)
    backups, fleet = str(tmp_path / "backups"), Fleet(settings, tmp_path)
    with Client(settings) as client:
        finished = client.lint(files(FINISHED, "done"), dialect="ansi")
        finished.wait(timeout_s=60)
        before, job_id = told(finished), finished.id
        job = client.lint(files(OPEN, "open"), dialect="ansi")
        eventually(lambda: job.progress().done > 10, within_s=60)
        fleet.command("backup", backups)
        assert job.status == "running", "it was backed up in mid-work"
        job.cancel()
        job.wait(timeout_s=60)
    there = settings.model_copy(update={"state_dir": tmp_path / "elsewhere", "threads": 2})
    restored = Fleet(there, tmp_path)
    restored.command("restore", backups)
    opened, ended = open_tasks(there)
    assert opened > 0
    assert ended > FINISHED
    with Client(there) as client:
        again = client.job(job.id)
        again.wait(timeout_s=120)
        assert (again.status, again.progress().succeeded) == ("succeeded", OPEN)
        assert told(client.job(job_id)) == before
    eventually(lambda: "orphan files: 0" in restored.command("fsck"), within_s=10)
