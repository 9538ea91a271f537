"""The folder of one local process: what it is to do, what became of it, and who holds it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPEC_FILE = "spec.json"
CONFIG_FILE = "config.json"
OUTPUT_FOLDER = "output"
TMP_FOLDER = "tmp"
STARTED_FILE = "started.json"
EXIT_FILE = "exit.json"
LOG_FILE = "log"
#: Held by the runner for as long as it lives, and by nobody else for long.
LOCK_FILE = "lock"


def read(path: Path) -> dict[str, Any] | None:
    """Return the document; None when there is none, or not yet."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write(path: Path, document: dict[str, Any]) -> None:
    """The document is there, whole, also after a crash of the machine."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as out:
        json.dump(document, out)
        out.flush()
        os.fsync(out.fileno())
    part.rename(path)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder as its runner; False when another does."""
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def has_runner(folder: Path) -> bool:
    """Tell whether a runner lives."""
    try:
        file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two who ask do not take each other for a runner.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


@contextmanager
def runner_of(folder: Path) -> Iterator[int | None]:
    """Give a descriptor of the runner's process, which no other process can come by; or None."""
    started = read(folder / STARTED_FILE)
    handle = None
    if started is not None:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(started["runner"])
    try:
        # It lives now, so the id, which it alone wrote, was not given to another.
        yield handle if handle is not None and has_runner(folder) else None
    finally:
        if handle is not None:
            os.close(handle)
