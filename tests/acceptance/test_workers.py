"""A real archive on real processes, as deployed: workers of Dramatiq, and the scheduler."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Client, Job
from pipeline.settings import Settings
from tests.support.waiting import eventually
from tests.support.workers import Worker, environment, running, scheduler

pytestmark = pytest.mark.timeout(180)

SHOP = Path(__file__).parents[1] / "samples" / "shop"


@pytest.fixture
def settings(tmp_path: Path, database: str, vhost: str) -> Settings:
    """The settings of a deployment, all at their defaults but for the addresses."""
    return Settings(state_dir=tmp_path / "state", database_url=database, broker_url=vhost)


@pytest.fixture
def deployment(settings: Settings, tmp_path: Path) -> Iterator[Client]:
    """A client of two worker processes and a scheduler."""
    env = environment(settings)
    worker = Worker("worker", env, tmp_path, processes=2, threads=4)
    with Client(settings) as client, running(worker, scheduler(env, tmp_path)):
        yield client


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample shop as a ZIP."""
    path = tmp_path_factory.mktemp("archive") / "shop.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in sorted(SHOP.rglob("*")):
            file.write(each, each.relative_to(SHOP))
    return path


def ends(job: Job) -> dict[str, tuple[str, object]]:
    """Return how each file ended and what was found in it."""
    return {file.path: (file.state, file.result) for file in job.results()}


def test_archive_is_linted_rolled_up_and_reported(deployment: Client, archive: Path) -> None:
    job = deployment.lint(archive, dialect="postgres", reports=["json", "sarif", "html"])
    job.wait(timeout_s=90)
    progress, verdict = job.progress(), job.verdict()
    assert job.status == "succeeded"
    assert progress.total == progress.done == progress.succeeded > 20
    assert verdict is not None
    assert verdict["failed"]
    report = json.loads(job.report("json"))
    assert len(report["files"]) == progress.total
    assert json.loads(job.report("sarif"))["version"] == "2.1.0"
    assert job.report("html").startswith(b"<!doctype html>")
    workers = {event["actor"] for event in job.events() if event["subject"] == "tasks"}
    assert len(workers) >= 2


def test_second_submission_reuses_every_result(deployment: Client, archive: Path) -> None:
    first = deployment.lint(archive, dialect="postgres").wait(timeout_s=90)
    again = deployment.lint(archive, dialect="postgres").wait(timeout_s=60)
    assert again.progress().reused == again.progress().total
    assert ends(again) == ends(first)


def test_distributed_and_embedded_results_are_equal(
    deployment: Client, archive: Path, tmp_path: Path
) -> None:
    job = deployment.lint(archive, dialect="postgres").wait(timeout_s=90)
    distributed = ends(job)
    deployment.close()
    with Client(Settings(state_dir=tmp_path / "embedded")) as embedded:
        assert ends(embedded.lint(archive, dialect="postgres").wait(timeout_s=90)) == distributed


def test_cancelled_job_ends_soon_and_with_a_report(deployment: Client, archive: Path) -> None:
    content = {f"{n}.sql": b"SELECT a + b, c FROM t WHERE x = 1\n" * 40 for n in range(300)}
    job = deployment.lint(content, dialect="postgres", cache=False)
    eventually(lambda: job.progress().succeeded > 3, within_s=60)
    assert job.cancel()
    job.wait(timeout_s=20)
    progress = job.progress()
    assert job.status == "cancelled"
    assert progress.cancelled > 0
    assert progress.succeeded + progress.cancelled == progress.total
    assert json.loads(job.report("json"))["job"]["state"] == "cancelled"
