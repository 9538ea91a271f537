"""``quayline fsck --repair`` again and again beside a service at work, on both databases."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import Client
from pipeline.settings import Settings
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.workers import running

pytestmark = pytest.mark.timeout(240)

FILES, JOBS = 60, 6


def files(salt: int) -> dict[str, bytes]:
    """Return the files of a job; the same salt makes the same blobs."""
    return {f"{n}.sql": b"SELECT a,  b%d FROM c -- %d\n" % (n, salt) for n in range(FILES)}


def old(storage: str) -> set[Path]:
    """Make every stored file two hours old; return them."""
    found = {path for path in Path(storage).rglob("*") if path.is_file()}
    for path in found:
        told = time.time() - 7200
        os.utime(path, (told, told))
    return found


def checked(fleet: Fleet, ended: threading.Event) -> int:
    """Repair until the end; return how often. Nothing but orphans is ever found."""
    times = 0
    while not ended.is_set():
        said = fleet.command("fsck", "--repair")
        assert ": job " not in said, said
        assert "leases of dead workers: 0" in said
        times += 1
    return times


def test_blobs_that_jobs_take_up_again_are_kept(fleet: Fleet) -> None:
    """All jobs put the old packs of jobs that have ended, which no row needs, once more."""
    with (
        Client(fleet.settings) as client,
        running(fleet.worker(module="actors", processes=2), fleet.scheduler()),
    ):
        for salt in range(2):
            client.lint(files(salt), dialect="ansi", cache=False).wait(timeout_s=60)
        before = old(fleet.settings.storage)
        ended = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            checks = threads.submit(checked, fleet, ended)
            try:
                for number in range(JOBS):
                    job = client.lint(files(number % 2), dialect="ansi", cache=False)
                    fleet.accepted[job.id] = Wanted(FILES)
                found = fleet.settled(within_s=120)
            finally:
                ended.set()
            assert checks.result() >= 1
        assert found.sound, found.line("fsck beside work")
        assert before
        fleet.command("fsck", "--repair")
        assert "orphan files: 0 " in fleet.command("fsck")


def test_embedded_service_is_repaired_beside_its_work(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", threads=2)
    fleet, ended = Fleet(settings, tmp_path), threading.Event()
    with Client(settings) as client:
        client.lint(files(0), dialect="ansi", cache=False).wait(timeout_s=60)
        old(settings.storage)
        with ThreadPoolExecutor(1) as threads:
            checks = threads.submit(checked, fleet, ended)
            try:
                jobs = [client.lint(files(0), dialect="ansi", cache=False) for _ in range(4)]
                for job in jobs:
                    job.wait(timeout_s=120)
            finally:
                ended.set()
            assert checks.result() >= 1
        for job in jobs:
            assert job.status == "succeeded"
            assert job.progress().succeeded == FILES
    fleet.command("fsck", "--repair")
    assert "orphan files: 0 " in fleet.command("fsck")
