"""The blob storage is full or read-only in mid-job: the job waits, and nothing is left behind."""

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import Client
from pipeline.cli.following import AWAY_S
from pipeline.errors import StorageUnavailable
from pipeline.producer import Job
from pipeline.settings import Settings
from tests.chaos.conftest import Form, told
from tests.support.disk import MIB, Disk, small_disk
from tests.support.faults import Fleet
from tests.support.recount import LINES, Wanted
from tests.support.waiting import eventually
from tests.support.workers import ROOT, environment, running

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
def disk(tmp_path: Path, form: Form) -> Iterator[Disk]:
    """An empty disk with room for the blobs and reports of one job."""
    with small_disk(tmp_path / "disk", form.of(8, 128) * MIB) as made:
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
    number = form.of(200, 1000)
    job = submitted(fleet, client, number)
    fault.strike(disk)
    with running(fleet.worker(module="actors"), fleet.scheduler()):
        complains(job)
        threading.Event().wait(form.of(0, 30))
        fault.mend(disk)
        eventually(lambda: job.progress().planned, within_s=60, what="planned")
        eventually(lambda: struck(fault, disk), within_s=10, what="no file is being written")
        eventually(
            lambda: job.progress().done == number, within_s=form.of(90, 600), what="all are linted"
        )
        complains(job)
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


class Embedded:
    """``quayline`` on its embedded default, all of whose state lies on the disk."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        # Whoever goes on with a job waits for the leases of the one who gave it up.
        self._env = environment(Settings(state_dir=disk.folder / "state", lease_s=10.0))
        self._source = folder / "source"
        self._source.mkdir()
        for number in range(30):
            text = f"SELECT a,  b{number} FROM c\n" * 100
            (self._source / f"{number}.sql").write_text(text)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside the disk's namespace."""
        return subprocess.run(
            [*self._disk.enter, sys.executable, "-m", "pipeline.cli", *arguments],
            env=self._env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def lint(self) -> subprocess.CompletedProcess[str]:
        """Lint the files; no violation counts."""
        report = str(self._folder / "report.json")
        more = ("--fail-on", "none", "--format", "json", "-o", report)
        return self("lint", str(self._source), "--dialect", "ansi", "--no-cache", *more)


#: So much is free when `quayline lint` begins, in KiB: it fails at another step with each; with the
#: higher ones in mid-job, which is noticed once what was done cannot be written for some seconds.
FREE_KIB = (0, 16, 64, 150, 400, 900), (0, 16, 32, 64, 100, 150, 200, 300, 400, 600, 750, 900, 1200)


def test_quayline_lint_on_a_full_disk_says_so(disk: Disk, tmp_path: Path, form: Form) -> None:
    quayline = Embedded(disk, tmp_path)
    went_on, slowest_s = 0, 0.0
    for free_kib in form.of(*FREE_KIB):
        disk.fill(but_bytes=free_kib * 1024)
        began = time.monotonic()
        done = quayline.lint()
        slowest_s = max(slowest_s, time.monotonic() - began)
        said = done.stderr.splitlines()[-1]
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert re.fullmatch(r"Error: .*(full|No space left on device|disk I/O error)\b.*", said)
        told_id = re.search(r"`quayline wait ([0-9a-f-]+)`", said)
        if told_id and not went_on:
            still = quayline("wait", told_id[1])
            assert (still.returncode, "Traceback" in still.stderr) == (2, False), still.stderr
            assert "full" in still.stderr.splitlines()[-1]
        disk.make_room()
        if told_id:
            went_on += 1
            waited = quayline("wait", told_id[1])
            assert waited.returncode == 0, waited.stderr
    assert quayline.lint().returncode == 0
    spool = disk.path / "state" / "blobs" / "spool"
    assert list(spool.iterdir()) == []
    LINES.append(
        f"quayline lint on a full disk: told {len(form.of(*FREE_KIB))} times, the slowest after"
        f" {slowest_s:.0f} s, {went_on} jobs went on once there was room"
    )
    assert went_on
    assert slowest_s < AWAY_S, "not before the last resort"
