"""The blob storage is full or read-only in mid-job: the job waits, and nothing is left behind."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import Client
from pipeline.errors import StorageUnavailable
from pipeline.producer import Job
from tests.chaos.conftest import Form, told
from tests.support.disk import MIB, Disk, small_disk
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Fault:
    """What befalls a disk, and what mends it."""

    name: str
    strike: Callable[[Disk], None]
    mend: Callable[[Disk], None]


FAULTS = (
    Fault("full", Disk.fill, Disk.make_room),
    Fault("read-only", Disk.read_only, Disk.writable),
)
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An empty disk of 8 MiB."""
    with small_disk(tmp_path / "disk", 8 * MIB) as made:
        yield made


@pytest.fixture
def client(fleet: Fleet, disk: Disk) -> Iterator[Client]:
    """A client of the fleet, whose storage lies on the disk."""
    more = {"storage_url": str(disk.path / "blobs"), "backoff_max_s": 30.0}
    fleet.settings = fleet.settings.model_copy(update=more)
    with Client(fleet.settings) as opened:
        yield opened


def submitted(fleet: Fleet, client: Client, number: int) -> Job:
    """Submit an archive of so many files, no two alike."""
    files = {f"{n}.sql": b"SELECT a,  b%d FROM c\n" % n * 20 for n in range(number)}
    job = client.lint(files, dialect="ansi", cache=False)
    fleet.accepted[job.id] = Wanted(number)
    return job


def complaints(job: Job) -> int:
    """Return how often the job's history tells of the storage."""
    return sum("storage does not work" in event["message"] for event in job.events())


def complains(job: Job, within_s: float = 90) -> None:
    """Return once the job has met the fault more often than a run may end badly."""
    aim = complaints(job) + 4
    eventually(lambda: complaints(job) >= aim, within_s=within_s, what="the storage fails")


def leftovers(disk: Disk) -> int:
    """Count what lies in the storage and is no whole blob or report: spooled files, torn blobs."""
    found = 0
    for file in (disk.path / "blobs").rglob("*"):
        place = file.relative_to(disk.path / "blobs").parts
        if file.is_file() and place[0] == "sha256":
            found += hashlib.sha256(file.read_bytes()).hexdigest() != "".join(place[1:])
        elif file.is_file():
            found += place[0] != "jobs" or file.name not in (
                *("plan.json", "report.json", "report.html"),
            )
    return found


@each_fault
def test_storage_fails_while_an_archive_is_expanded_and_reports_are_written(
    fault: Fault, fleet: Fleet, client: Client, disk: Disk, form: Form
) -> None:
    number = form.of(200, 3000)
    job = submitted(fleet, client, number)
    fault.strike(disk)
    with running(fleet.worker(module="actors"), fleet.scheduler()):
        complains(job)
        threading.Event().wait(form.of(0, 30))
        fault.mend(disk)
        eventually(lambda: job.progress().planned, within_s=60, what="planned")
        eventually(lambda: struck(fault, disk), within_s=10, what="no file is being written")
        complains(job, within_s=form.of(90, 300))
        assert job.progress().done == number
        threading.Event().wait(form.of(0, 30))
        fault.mend(disk)
        found = fleet.settled(within_s=form.of(60, 120))
    found.leftovers = leftovers(disk)
    told(found, f"storage {fault.name} twice", times_tried_in_vain=complaints(job))
    assert job.status == "succeeded"
    assert len(json.loads(job.report("json"))["files"]) == number
    assert job.verdict() is not None


def struck(fault: Fault, disk: Disk) -> bool:
    """Strike; a disk on which somebody writes at this moment cannot be made read-only."""
    try:
        fault.strike(disk)
    except AssertionError:
        return False
    return True


@each_fault
def test_submitting_to_a_storage_that_fails_is_typed_and_leaves_nothing(
    fault: Fault, fleet: Fleet, client: Client, disk: Disk
) -> None:
    kept = submitted(fleet, client, 3)
    files = blobs(disk)
    fault.strike(disk)
    with pytest.raises(StorageUnavailable, match=r"^The blob storage does not work: [^\n]*\.$"):
        client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi")
    (fleet.logs / "one.sql").write_text("SELECT 2\n")
    said = fleet.command("submit", "one.sql", "--dialect", "ansi", exit_code=2)
    assert said.startswith("Error: The blob storage does not work: ")
    assert said.count("\n") == 1
    fault.mend(disk)
    assert [job.id for job in client.jobs()] == [kept.id]
    assert blobs(disk) == files


def blobs(disk: Disk) -> set[str]:
    """Return every file of the storage."""
    return {str(path) for path in (disk.path / "blobs").rglob("*") if path.is_file()}


def test_storage_that_stays_full_ends_the_job_with_the_reason(
    fleet: Fleet, client: Client, disk: Disk
) -> None:
    impatient = {"backoff_max_s": 0.4, "max_attempts": 2}
    fleet.settings = fleet.settings.model_copy(update=impatient)
    job = submitted(fleet, client, 10)
    fleet.accepted[job.id] = Wanted(0)
    disk.fill()
    with running(fleet.worker(module="actors"), fleet.scheduler()):
        found = fleet.settled(within_s=60)
    disk.make_room()
    found.leftovers = leftovers(disk)
    told(found, "storage full for ever", times_tried_in_vain=complaints(job))
    row = job.info()
    assert (row["state"], row["reason"]) == ("failed", "storage")
    assert row["message"].startswith("The blob storage does not work: No space left")
    assert row["result"] == {"error": row["message"]}
