"""The programs that dump and restore: found, new enough, and never told a secret aloud."""

import ctypes
import os
import stat
import threading
from pathlib import Path

import pytest

from pipeline.adapters import pg_programs
from pipeline.errors import Permanent, Refused
from tests.support.waiting import eventually

URL = "postgresql://ann:pass%20word@db.example:5433/quayline?sslmode=prefer"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are found in."""
    monkeypatch.setattr(pg_programs, "_PLACES", (f"{tmp_path}/versions/*/bin",))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def program(folder: Path, version: str, code: str = "exit 0") -> Path:
    """Make a pg_dump of that version, which does what the code says."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pg_dump"
    path.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --version ] && echo "pg_dump (PostgreSQL) {version}" && exit 0\n{code}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def dump(folder: Path, server: int = 15) -> None:
    """Dump."""
    pg_programs.dump(URL, folder / "rows", snapshot="1-2-3", server=server)


def test_missing_program_is_told_with_what_to_install(programs: Path) -> None:
    with pytest.raises(Refused) as told:
        dump(programs)
    assert str(told.value) == (
        "pg_dump is not installed here. Install PostgreSQL's client programs, version 15 or newer."
    )


def test_program_that_is_too_old_is_told_with_both_versions(programs: Path) -> None:
    program(programs / "path", "13.22 (Debian 13.22-1)")
    with pytest.raises(Refused, match="pg_dump here has version 13, the server 15"):
        dump(programs)


def test_oldest_that_knows_the_server_is_taken(programs: Path) -> None:
    program(programs / "path", "13.22", "exit 3")
    program(programs / "versions" / "17" / "bin", "17.2", "exit 4")
    program(programs / "versions" / "16" / "bin", "16.1", f"echo 16 > {programs}/taken")
    dump(programs)
    assert (programs / "taken").read_text() == "16\n"


def test_program_that_does_not_tell_its_version_is_not_taken(programs: Path) -> None:
    path = program(programs / "path", "15.1")
    path.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(Refused, match="has version 0"):
        dump(programs)


def test_password_is_in_the_environment_and_not_in_the_arguments(programs: Path) -> None:
    said = programs / "said"
    program(programs / "path", "15.1", f'echo "$@" > {said}; echo "$PGPASSWORD" >> {said}')
    dump(programs)
    arguments, password = said.read_text().splitlines()
    assert password == "pass word"
    assert "pass word" not in arguments
    assert "pass%20word" not in arguments
    for word in ("host=db.example", "port=5433", "user=ann", "--snapshot=1-2-3", "sslmode=prefer"):
        assert word in arguments


def test_program_that_fails_is_told_in_its_words(programs: Path) -> None:
    code = 'echo "pg_dump: warning: hm" >&2; echo "pg_dump: error: no such host." >&2; exit 1'
    program(programs / "path", "15.1", code)
    with pytest.raises(Permanent) as told:
        dump(programs)
    assert str(told.value) == "pg_dump failed: error: no such host."


def test_program_that_takes_too_long_is_ended(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs / "path", "15.1", "while :; do :; done")
    monkeypatch.setattr(pg_programs, "LIMIT_S", 0.3)
    with pytest.raises(Permanent, match="took longer than"):
        dump(programs)


def test_program_ends_with_the_thread_that_waits_for_it(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's time limit is an exception between two steps of Python."""
    program(programs / "path", "15.1", f"echo $$ > {programs}/pid; while :; do :; done")
    monkeypatch.setattr(pg_programs, "WAIT_S", 0.05)
    ours = threading.get_ident()

    def end() -> None:
        eventually(lambda: (programs / "pid").exists(), within_s=10)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(ours), ctypes.py_object(KeyboardInterrupt)
        )

    ender = threading.Thread(target=end)
    ender.start()
    with pytest.raises(KeyboardInterrupt):
        dump(programs)
    ender.join(10)
    with pytest.raises(ProcessLookupError):
        os.kill(int((programs / "pid").read_text()), 0)
