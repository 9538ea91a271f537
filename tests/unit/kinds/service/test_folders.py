"""What a killed worker leaves of its runs' folders is found, and nothing else is taken."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.kinds.service import folders
from pipeline.kinds.service.folders import PREFIX, RunFolder, tidy

HOLD = """
import signal
from pipeline.kinds.service.folders import RunFolder
print(RunFolder().path, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_folder_of_a_run_is_there_until_it_is_removed(temporary: Path) -> None:
    folder = RunFolder()
    (folder.path / "file").write_text("x")
    assert tidy(grace_s=-1) == 0
    assert folder.path.parent == temporary
    folder.remove()
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_process_is_removed_by_another(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().decode().strip())
        (path / "file").write_text("x")
        assert tidy(grace_s=-1) == 0
        process.send_signal(signal.SIGKILL)
    assert tidy(grace_s=-1) == 1
    assert list(temporary.iterdir()) == []


def test_young_folder_and_what_is_none_of_ours_stay(temporary: Path) -> None:
    young = temporary / f"{PREFIX}young"
    young.mkdir()
    (temporary / "other").mkdir()
    (temporary / f"{PREFIX}file").write_text("x")
    (temporary / f"{PREFIX}link").symlink_to(temporary / "other")
    old = time.time() - 3600
    for name in ("other", f"{PREFIX}file"):
        os.utime(temporary / name, (old, old))
    assert tidy() == 0
    os.utime(young, (old, old))
    assert tidy() == 1
    assert sorted(path.name for path in temporary.iterdir()) == [
        "other",
        f"{PREFIX}file",
        f"{PREFIX}link",
    ]


def test_process_that_works_looks_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(folders, "_tidied_at", None)
    monkeypatch.setattr(folders, "tidy", lambda: looks.append(1))
    folders.tidy_now_and_then()
    folders.tidy_now_and_then()
    assert looks == [1]
