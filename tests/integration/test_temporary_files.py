"""No process of ours makes a file with a name in the system's temporary folder, so that none can be
left there, whoever is killed whenever."""

import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from pipeline import Client
from pipeline.settings import Settings
from tests.support.faults import Fleet
from tests.support.names import names_made
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import Worker, environment, running, script

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A temporary folder of the processes' own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def files(number: int, width: int = 40) -> dict[str, bytes]:
    """Return so many SQL files, no two alike."""
    return {f"{n}.sql": b"SELECT a,  b%d FROM c -- %s\n" % (n, b"x" * width) for n in range(number)}


def lint_processes(worker: Worker) -> list[psutil.Process]:
    """Return the zygote and the lint children below the worker's processes."""
    below = [psutil.Process(pid).children(recursive=True) for pid in worker.worker_pids()]
    return [process for each in below for process in each]


def test_killed_service_makes_no_temporary_file(fleet: Fleet, temporary: Path) -> None:
    """A worker's lint child, its zygote, its process, then the master and the scheduler."""
    fleet.more_env["TMPDIR"] = str(temporary)
    number = 300
    worker, scheduler = fleet.worker(module="actors", processes=1), fleet.scheduler()
    with names_made(temporary) as made, Client(fleet.settings) as client:
        job = client.lint(files(number), dialect="ansi", cache=False)
        fleet.accepted[job.id] = Wanted(number)
        with running(worker, scheduler):
            for victim in (-1, 0):
                found = eventually(
                    lambda: lint_processes(worker)[1:] and lint_processes(worker),
                    within_s=60,
                    what="lint processes",
                )
                found[victim].kill()
                fleet.done(uuid.UUID(job.id), job.progress().done + 10)
            psutil.Process(worker.worker_pids()[0]).kill()
            worker.wait()
            scheduler.signal(signal.SIGKILL)
            scheduler.wait()
        with running(fleet.worker("next", module="actors"), fleet.scheduler("later")):
            assert fleet.settled(within_s=90).sound
    assert made == []


def test_killed_commands_make_no_temporary_file(tmp_path: Path, temporary: Path) -> None:
    # The second command waits for the leases of the first.
    settings = Settings(state_dir=tmp_path / "state", lease_s=3.0)
    env = {**environment(settings), "TMPDIR": str(temporary)}
    source = tmp_path / "source"
    source.mkdir()
    for name, content in files(60).items():
        (source / name).write_bytes(content)
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pipeline.cli", "lint", str(source), "--dialect", "ansi"]
    command += ["--no-cache", "--fail-on", "none", "--format", "json", "-o", str(report)]
    with names_made(temporary) as made, names_made(tmp_path) as beside:
        lint = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert lint.stderr
        eventually(lambda: psutil.Process(lint.pid).children(), within_s=60, what="it lints")
        lint.kill()
        lint.communicate()
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)
    assert made == []
    assert {name for name in beside if not name.startswith("state")} == {"report.json"}


def test_large_source_is_spooled_without_a_name(tmp_path: Path, temporary: Path) -> None:
    env = {**environment(Settings(state_dir=tmp_path / "state")), "TMPDIR": str(temporary)}
    code = """
        from pipeline import Client
        with Client(work=False) as client:
            client.lint({f"{n}.sql": b"x" * 1_000_000 for n in range(20)}, dialect="ansi")
    """
    with names_made(temporary) as made:
        submitter = script("submitter", "if True:" + code, env, tmp_path)
        with running(submitter):
            assert submitter.wait() == 0
    assert made == []
    assert list(temporary.iterdir()) == []


def test_blob_for_an_object_store_is_spooled_without_a_name(
    tmp_path: Path, temporary: Path
) -> None:
    env = {**environment(Settings()), "TMPDIR": str(temporary)}
    code = """
        import sys
        from pipeline.store.blobs import BlobStore
        class Slow:
            def read(self, size):
                print("half", flush=True)
                import threading; threading.Event().wait()
        blobs = BlobStore("memory://quayline")
        assert blobs.read(blobs.put(b"x" * 5_000_000).digest) == b"x" * 5_000_000
        with blobs.writing("n") as stream:
            stream.write(b"named")
        assert blobs.open_named("n").read() == b"named"
        blobs.put(Slow())
    """
    with names_made(temporary) as made:
        writer = script("writer", "if True:" + code, env, tmp_path)
        with running(writer):
            eventually(lambda: writer.said("half"), within_s=30, what="it writes")
            writer.signal(signal.SIGKILL)
            writer.wait()
    assert made == []
