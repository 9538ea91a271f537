"""What the processes of this machine alone do."""

import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pipeline.adapters.engines import open_engine, process_folder
from pipeline.adapters.engines.errors import ImageMissing
from pipeline.adapters.engines.process_engine import ProcessEngine
from pipeline.adapters.engines.process_log import LogReader, LogWriter
from pipeline.errors import Refused
from tests.contract.engines.bench import Bench, said
from tests.support.waiting import eventually

WAIT = "print('here', os.getpid(), flush=True)\ntime.sleep(600)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the bench has its processes."""
    return tmp_path / "processes"


def _runner(folder: Path, name: str) -> int:
    started = process_folder.read(folder / name / process_folder.STARTED_FILE)
    assert started is not None
    return int(started["runner"])


def _pid(bench: Bench, name: str) -> int:
    bench.says(name, b"here")
    return int(said(bench.engine.logs(name)).split()[1])


def test_process_outlives_its_starter(process_bench: Bench, folder: Path, deployment: str) -> None:
    name = process_bench.started("time.sleep(0.5)\nsys.exit(3)")

    another = ProcessEngine(folder, deployment=deployment, image="local")

    assert os.getsid(_runner(folder, name)) != os.getsid(0)
    assert Bench(another, {}).ended(name).exit_code == 3


def test_process_whose_runner_was_killed_is_dead_and_said_to_be_lost(
    process_bench: Bench, folder: Path
) -> None:
    name = process_bench.started(WAIT)
    pid = _pid(process_bench, name)

    os.kill(_runner(folder, name), signal.SIGKILL)

    ended = process_bench.ended(name)
    assert (ended.exit_code, "not known" in ended.error) == (137, True)
    eventually(lambda: not psutil.pid_exists(pid), within_s=10)


def test_processes_that_a_process_leaves_end_with_it(process_bench: Bench) -> None:
    code = "child = subprocess.Popen(['sleep', '600'])\nprint('here', child.pid, flush=True)"
    name = process_bench.ran(code).name

    child = _pid(process_bench, name)

    eventually(lambda: not psutil.pid_exists(child), within_s=10)


def test_memory_is_bounded(process_bench: Bench) -> None:
    ended = process_bench.ran("x = bytearray(1 << 30)", memory_bytes=300 * 2**20)

    assert ended.exit_code == 1
    assert b"MemoryError" in said(process_bench.engine.logs(ended.name))


def test_process_sees_no_settings_of_ours(
    process_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://secret@db/quayline")
    code = "print(sorted(name for name in os.environ if name.startswith('QUAYLINE')))"

    name = process_bench.ran(code).name

    assert said(process_bench.engine.logs(name)) == b"[]\n"


def test_config_may_be_read_by_its_owner_alone(process_bench: Bench, folder: Path) -> None:
    spec = process_bench.spec(WAIT, env={"API_BASE_URL": "http://127.0.0.1/t/secret"})
    process_bench.engine.create(spec)

    assert (folder / spec.name).stat().st_mode & 0o777 == 0o700


def test_only_the_collectors_run(process_bench: Bench) -> None:
    for changes in ({"image": "data-collection-crawler"}, {"command": ["rm", "-rf", "/"]}):
        with pytest.raises(ImageMissing, match="Without Docker"):
            process_bench.engine.create(process_bench.spec(WAIT, **changes))
    assert process_bench.engine.listed() == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\0b"])
def test_name_that_cannot_be_is_refused(process_bench: Bench, name: str) -> None:
    with pytest.raises(Refused):
        process_bench.engine.remove(name)


def test_starters_at_the_same_time_run_it_once(process_bench: Bench) -> None:
    spec = process_bench.spec("open('marks', 'a').write('x')")

    def launch(_: int) -> str:
        process_bench.engine.create(spec)
        return process_bench.engine.start(spec.name).id

    with ThreadPoolExecutor(6) as threads:
        ids = set(threads.map(launch, range(6)))

    assert len(ids) == 1
    process_bench.ended(spec.name)
    assert process_bench.outputs(spec.name) == {"marks": b"x"}


def test_folders_of_dead_makers_are_leftovers(process_bench: Bench, folder: Path) -> None:
    process_bench.engine.create(process_bench.spec(WAIT))
    old, new = folder / ".old", folder / ".new"
    for each in (old, new):
        each.mkdir()
    os.utime(old, (0, 0))

    assert process_bench.engine.remove_leftovers() == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert len(process_bench.engine.listed()) == 1


def test_output_that_waits_for_another_run_is_no_leftover(
    process_bench: Bench, folder: Path
) -> None:
    name = process_bench.started(WAIT)
    process_bench.engine.remove(name, keep_output=True)
    [kept] = folder.iterdir()
    os.utime(kept, (0, 0))

    assert process_bench.engine.remove_leftovers(keep=[name]) == 0
    assert process_bench.engine.remove_leftovers() == 1


def test_follower_with_its_last_cursor_goes_on_where_it_was(tmp_path: Path) -> None:
    path, reader = tmp_path / "log", LogReader()
    writer = LogWriter(path, limit_bytes=2000)
    lines = [b"%03d %s\n" % (number, b"x" * 40) for number in range(100)]
    heard, since = [], ""
    for line in lines:
        writer.pump("stdout", io.BytesIO(line))
        for entry in reader.read(path, since):
            heard.append(entry.data)
            since = entry.timestamp
        # What was read is never read again: it could not be.
        with path.open("r+b") as newest:
            newest.readline()
            newest.write(b"?" * max(0, path.stat().st_size - newest.tell()))
    writer.close()
    assert heard == lines


@pytest.mark.parametrize(
    ("use", "exit_code"),
    [
        ("opened(own)", 0),
        ("opened({foreign!r})", 1),
        ("opened(os.path.dirname(own) + '/../../quayline.db')", 1),
        ("os.symlink({foreign!r}, own); opened(own)", 1),
        ("opened(own).execute('ATTACH ? AS other', [{foreign!r}])", 1),
    ],
)
def test_only_sqlite_files_of_its_own_are_opened(
    process_bench: Bench, tmp_path: Path, use: str, exit_code: int
) -> None:
    foreign = tmp_path / "quayline.db"
    foreign.touch()
    code = (
        "from pipeline.collect.database.sqlite import SQLite\n"
        "own = os.environ['OUTPUT_DIR'] + '/own.db'\n"
        "opened = lambda path: SQLite('sqlite:///' + path, 5, read_only=False)\n"
    )
    name = process_bench.started(code + use.format(foreign=str(foreign)))
    assert process_bench.ended(name).exit_code == exit_code
    if exit_code:
        told = said(process_bench.engine.logs(name))
        assert b"QUAYLINE_SQLITE_FOLDERS" in told or b"not authorized" in told


def test_address_process_means_this_machine(tmp_path: Path) -> None:
    engine = open_engine("process://", deployment="test", folder=tmp_path)

    assert isinstance(engine, ProcessEngine)
    assert engine.ping().kind == "process"


def test_without_docker_the_embedded_default_is_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(
        "pipeline.adapters.engines.docker_daemon.DEFAULT_SOCKET", str(tmp_path / "none")
    )
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    assert isinstance(
        open_engine("", deployment="test", folder=tmp_path, may_be_local=True), ProcessEngine
    )
    assert not isinstance(open_engine("", deployment="test", folder=tmp_path), ProcessEngine)
