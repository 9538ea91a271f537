"""``python -m pipeline.adapters.engines.process_runner FOLDER``: runs one process to its end.

It outlives whoever started it, and writes down the start, the log and the end, so that these are
known whatever happens to everybody else. TERM is passed on; USR1 kills the process and all that it
has started in its session.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline import clock
from pipeline.adapters.engines import process_folder
from pipeline.adapters.engines.process_log import LogWriter

_PR_SET_PDEATHSIG = 1
SIGNALLED = 128
CANNOT_RUN = 126
#: Whoever holds the output open after the process has ended is not waited for.
LAST_OUTPUT_S = 5.0


def main(folder: Path) -> None:
    """The process ran, unless it did before."""
    with process_folder.held(folder) as is_ours:
        if is_ours and process_folder.read(folder / process_folder.STARTED_FILE) is None:
            _run(folder)


def _run(folder: Path) -> None:
    spec = process_folder.read(folder / process_folder.SPEC_FILE) or {}
    runner = _Runner()
    started = {"runner": os.getpid(), "started_at": clock.now().isoformat()}
    process_folder.write(folder / process_folder.STARTED_FILE, started)
    code, error = runner.run(folder, spec)
    ended = {"exit_code": code, "error": error, "finished_at": clock.now().isoformat()}
    process_folder.write(folder / process_folder.EXIT_FILE, ended)


class _Runner:
    """Holds the one process. Signals that come before it are kept for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: list[int] = []
        signal.signal(signal.SIGTERM, self._pass_on)
        signal.signal(signal.SIGUSR1, self._pass_on)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self, folder: Path, spec: dict[str, Any]) -> tuple[int, str]:
        """Return the exit code of the process, as Docker gives it, and why it could not run."""
        log = LogWriter(folder / process_folder.LOG_FILE, limit_bytes=spec["log_bytes"])
        try:
            process = self._process = self._start(folder, spec)
        except OSError as error:
            return CANNOT_RUN, str(error)
        finally:
            self._send_kept()
        pumps = [
            threading.Thread(target=log.pump, args=(name, stream), daemon=True)
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for pump in pumps:
            pump.start()
        code = process.wait()
        _kill_session(process.pid)
        for pump in pumps:
            pump.join(LAST_OUTPUT_S)
        log.close()
        return (SIGNALLED - code if code < 0 else code), ""

    def _start(self, folder: Path, spec: dict[str, Any]) -> "subprocess.Popen[bytes]":
        memory_bytes = spec["memory_bytes"]

        def confine() -> None:
            _end_with_parent()
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        return subprocess.Popen(
            spec["command"],
            cwd=folder,
            env=spec["env"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=confine,
        )

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._kept.append(number)
        if self._process is not None:
            self._send_kept()

    def _send_kept(self) -> None:
        if self._process is None:
            return
        kept, self._kept = self._kept, []
        for number in kept:
            if number == signal.SIGUSR1:
                _kill_session(self._process.pid)
            else:
                self._process.terminate()


def _end_with_parent() -> None:
    """The process is killed when its runner is: nobody would know of it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
