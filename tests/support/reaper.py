"""Ends what the tests started when their own process is killed and can end nothing any more.

One small process a session: it reads what was started and what has ended, a JSON object a line,
and ends the rest once the pipe to it closes, however that came.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any


def started(group: int) -> None:
    """Have the process group killed once this process is gone."""
    _tell(started=group)


def ended(group: int) -> None:
    """Forget the process group: its number may be given to others."""
    _tell(ended=group)


def clean_up(
    folder: Path, command: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> None:
    """Have the command run and the folder removed once this process is gone."""
    _tell(folder=str(folder), command=list(command), env=dict(env or {}))


def _tell(**what: Any) -> None:
    pipe = _pipe(os.getpid())
    pipe.write(json.dumps(what).encode() + b"\n")
    pipe.flush()


@lru_cache(maxsize=1)
def _pipe(_pid: int) -> IO[bytes]:
    reading, writing = os.pipe()
    # Not awaited by anybody: to outlive us is its office.
    subprocess.run(
        # A shell gives what it puts in the background an empty input, unless told.
        ["/bin/sh", "-c", 'exec 3<&0; "$0" "$1" <&3 3<&- &', sys.executable, __file__],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )
    os.close(reading)
    pipe = os.fdopen(writing, "wb")
    atexit.register(pipe.close)
    return pipe


def main() -> None:
    """Read until the pipe closes, then end what is left."""
    told = [json.loads(line) for line in sys.stdin]
    groups: set[int] = set()
    for each in told:
        if "started" in each:
            groups.add(each["started"])
        elif "ended" in each:
            groups.discard(each["ended"])
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for each in told:
        if "folder" in each and Path(each["folder"]).exists():
            if each["command"]:
                subprocess.run(each["command"], env=each["env"], check=False, timeout=30)
            shutil.rmtree(each["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
