"""Starts, stops and awaits the runner of one local process."""

import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pipeline.adapters.engines import process_folder, process_spec
from pipeline.adapters.engines.errors import CannotStart, EngineUnavailable

RUNNER = "pipeline.adapters.engines.process_runner"
START_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 10.0
_LOOK_S = 0.02


def start(place: Path) -> None:
    """A runner has the process, now or before."""
    runner = subprocess.Popen(
        [sys.executable, "-P", "-m", RUNNER, str(place)],
        env={"PYTHONPATH": process_spec.import_path()},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    # Somebody has to take its exit code; it lives as long as the process does.
    said: list[bytes] = []
    waiter = threading.Thread(
        target=lambda: said.append(runner.communicate()[1]), name="runner", daemon=True
    )
    waiter.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (place / process_folder.STARTED_FILE).exists():
        waiter.join(_LOOK_S)
        if not waiter.is_alive() and not (place / process_folder.STARTED_FILE).exists():
            raise CannotStart(f"The process could not be started: {_last_line(said)}")
        if time.monotonic() > deadline:
            raise EngineUnavailable(f"No process started within {START_TIMEOUT_S:g} s.")


def stop(place: Path, *, grace_s: float) -> None:
    """The process has ended: by TERM, or by KILL after the grace."""
    with process_folder.runner_of(place) as runner:
        if runner is None:
            return
        signal.pidfd_send_signal(runner, signal.SIGTERM)
        if not _ends(runner, grace_s):
            signal.pidfd_send_signal(runner, signal.SIGUSR1)
            _await(runner)


def kill(place: Path) -> None:
    """The process has ended."""
    with process_folder.runner_of(place) as runner:
        if runner is not None:
            signal.pidfd_send_signal(runner, signal.SIGUSR1)
            _await(runner)


def terminate(place: Path) -> None:
    """The process was sent TERM, if it runs."""
    with process_folder.runner_of(place) as runner:
        if runner is not None:
            signal.pidfd_send_signal(runner, signal.SIGTERM)


def _await(runner: int) -> None:
    if not _ends(runner, KILL_TIMEOUT_S):
        raise EngineUnavailable(f"A process did not end within {KILL_TIMEOUT_S:g} s of KILL.")


def _ends(runner: int, within_s: float) -> bool:
    """Tell whether the runner ends in time."""
    poll = select.poll()
    poll.register(runner, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def _last_line(said: list[bytes]) -> str:
    lines = said[0].decode(errors="replace").strip().splitlines() if said else []
    return lines[-1] if lines else "its runner ended at once"
