"""What code inside a lint child could do, if some came to run there: the child itself tries."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.sqlfluff import LintPool, confinement
from tests.integration.sqlfluff import probe
from tests.integration.sqlfluff.conftest import work

ROOT = Path(__file__).parents[3]
#: Another interpreter of the same version, which other users may run where ours lies in a home.
SYSTEM_PYTHON = Path(f"/usr/bin/python3.{sys.version_info.minor}")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Victims for a child: listeners of every family, files that others may read, and may not."""
    folder = tmp_path / "open"
    folder.mkdir()
    for step in (folder, *folder.parents[:3]):
        step.chmod(0o777)
    open_file, private_file = folder / "database", folder / "private"
    for file, mode in ((open_file, 0o666), (private_file, 0o600)):
        file.write_text("secret")
        file.chmod(mode)
    with ExitStack() as open_sockets:
        tcp = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        udp = open_sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", port))
        paths = (f"/tmp/probe-{os.getpid()}", f"\0probe-{os.getpid()}")
        for path in paths:
            listener = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen()
        os.chmod(paths[0], 0o777)
        open_sockets.callback(os.unlink, paths[0])
        yield {
            **{"port": port, "folder": str(folder), "socket": paths[0], "abstract": paths[1][1:]},
            **{"open_file": str(open_file), "private_file": str(private_file)},
        }


def test_child_can_do_nothing_but_lint(asked: dict[str, Any]) -> None:
    pool = LintPool(2)
    try:
        told = probe.asked_of(pool, asked)
    finally:
        pool.close()
    assert told["did"] == {}
    _check(told["is"], as_root=os.geteuid() == 0)


@pytest.mark.skipif(
    os.geteuid() != 0 or not SYSTEM_PYTHON.exists(),
    reason="needs root, to run as somebody else, and an interpreter that others may run",
)
def test_child_of_a_worker_that_is_not_root_can_do_no_more(asked: dict[str, Any]) -> None:
    command = [str(SYSTEM_PYTHON), "-m", probe.MODULE, "owner", json.dumps(asked)]
    packages = [path for path in sys.path if path.endswith("site-packages")]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        check=True,
        cwd="/",
        user=12345,
        group=12345,
        extra_groups=[],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *packages]), "QUAYLINE_SECRET": "x"},
    )
    told = json.loads(done.stdout)
    assert told["did"] == {}
    assert told["is"]["uids"] == [12345] * 3
    _check(told["is"], as_root=False)


def _check(told: dict[str, Any], *, as_root: bool) -> None:
    if as_root and confinement.harmless_user([os.path.dirname(os.__file__)]):
        assert 0 not in (*told["uids"], *told["gids"])
        assert told["groups"] == []
    assert told["cwd"] == "/"
    assert len(told["descriptors"]) == 4, "the standard three, and the pool's socket"
    assert told["limits"]["AS"][1] < 16 * 2**30
    assert told["limits"]["NOFILE"][1] <= 64
    for name in ("FSIZE", "CORE", "NPROC", "MEMLOCK", "MSGQUEUE"):
        assert told["limits"][name] == [0, 0], name
    assert told["environment"]["HOME"] == "/nonexistent"
    assert not [name for name in told["environment"] if name.startswith(("QUAYLINE", "PG", "AWS"))]


#: What succeeds anywhere else, and does no harm there.
FREE = (
    *("tcp", "udp", "unix", "abstract", "listen", "pair", "read passwd", "read open file"),
    *("list slash", "temporary file", "write", "empty file", "append", "make folder", "touch"),
    *("own change", "link", "memory file", "fork", "run", "signal victim", "trace victim"),
    *("memory of victim", "environment of victim", "descriptors of victim", "limits of victim"),
    *("handle of victim", "priority of victim"),
)


def test_probes_succeed_outside_of_a_child(asked: dict[str, Any]) -> None:
    victim = subprocess.Popen(["sleep", "60"])
    code = (
        "import json, sys\n"
        "from tests.integration.sqlfluff import probe\n"
        "asked, names = map(json.loads, sys.argv[1:])\n"
        "tries = probe.attempts(asked)\n"
        "probe.attempts = lambda _: {name: tries[name] for name in names}\n"
        "print(json.dumps(probe.did(asked)))\n"
    )
    told = json.dumps({**asked, "victims": {"victim": victim.pid}})
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, told, json.dumps(FREE)],
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": asked["folder"]},
        )
    finally:
        victim.kill()
        victim.wait()
    assert json.loads(done.stdout).keys() >= set(FREE) - _needs_root()


def _needs_root() -> set[str]:
    return set() if os.geteuid() == 0 else {"trace victim", "memory of victim"}


def test_child_inherits_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://user:password@host/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    pool = LintPool(1)
    try:
        pool.lint(work("SELECT 1\n"))
        environment = Path(f"/proc/{pool._idle[0].pid}/environ").read_bytes()
    finally:
        pool.close()
    for name in (b"QUAYLINE_", b"AWS_", b"PG", b"password"):
        assert name not in environment


def test_kernel_says_that_the_fences_stand() -> None:
    pool = LintPool(1)
    try:
        pool.lint(work("SELECT 1\n"))
        status = Path(f"/proc/{pool._idle[0].pid}/status").read_text()
    finally:
        pool.close()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
