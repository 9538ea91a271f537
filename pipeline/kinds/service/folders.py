"""The folders that runs of calls have for their files, and what a killed worker leaves of them.

Each lies in the system's temporary folder under a lock of the worker's process, which the kernel
gives up when that is killed. So whoever gets the lock of an older one knows that nobody uses it.
"""

import fcntl
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "quayline-run-"
#: One that is younger may not have its lock yet, in seconds.
GRACE_S = 60.0
#: How often a process that works looks for those that are left.
AGAIN_S = 600.0


class RunFolder:
    """A folder of one run, until ``remove``."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def remove(self) -> None:
        """It is gone with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def tidy(*, grace_s: float = GRACE_S) -> int:
    """Remove this user's folders of workers that are gone; return how many those were."""
    found = Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
    return sum(_remove_left(path, before=time.time() - grace_s) for path in found)


def _remove_left(path: Path, *, before: float) -> bool:
    try:
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        seen = os.fstat(held)
        if seen.st_uid != os.getuid() or seen.st_mtime >= before:
            return False
        with suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            return True
        return False
    finally:
        os.close(held)


def tidy_now_and_then() -> None:
    """Do it, if this process has not done so for a while."""
    global _tidied_at
    with _lock:
        if _tidied_at is not None and time.monotonic() - _tidied_at < AGAIN_S:
            return
        _tidied_at = time.monotonic()
    tidy()


_tidied_at: float | None = None
_lock = threading.Lock()
