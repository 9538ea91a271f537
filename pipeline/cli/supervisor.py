"""Keeps `dramatiq` running, and leaves no worker process behind.

A killed worker process is replaced by its keeper (``pipeline/cli/keeper.py``). A killed keeper
makes dramatiq's master stop everything and exit, and a killed master leaves its workers consuming.
So the master runs in a process group of its own; when it has ended, whatever is left of the group
is killed, and unless an end was asked for it is started again. When the supervisor itself is killed
the kernel sends the master SIGTERM.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from pipeline.cli.exits import SIGNAL, UNABLE
from pipeline.cli.pauses import FIRST_S, Pauses

PR_SET_PDEATHSIG = 1
#: Exit codes of dramatiq that another start would only repeat: RET_IMPORT, and argparse's.
HOPELESS = frozenset({2})
#: For so long dramatiq's master waits for all of its processes to boot before it looks after any
#: (its own default is 30 s; what it waits for, fork functions, we have none).
BOOT_MS = 5_000
#: How often the supervisor looks whether a signal or the master's end came.
TICK_S = 0.2
#: Killed processes are gone sooner than this.
REAP_S = 2.0


def command(processes: int, threads: int, extra: Sequence[str] = ()) -> list[str]:
    """Return the command line of the master."""
    told = ["--processes", str(processes), "--threads", str(threads)]
    told += ["--worker-fork-timeout", str(BOOT_MS), *extra]
    return [sys.executable, "-m", "pipeline.cli.master", "actors", *told]


class Supervisor:
    """Runs one command until it is told to end; ``run`` returns the exit code for the process."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        grace_s: float,
        tell: Callable[[str], None],
        first_pause_s: float = FIRST_S,
        more_env: Mapping[str, str] | None = None,
    ) -> None:
        self._argv = list(argv)
        self._env = {**os.environ, **(more_env or {})}
        self._grace_s = grace_s
        self._tell = tell
        self._pauses = Pauses(first_pause_s)
        self._asked: list[int] = []
        self._master: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start, watch and start again, until SIGTERM or Ctrl-C."""
        before = {each: signal.signal(each, self._hear) for each in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._pass_on)
        try:
            return self._keep_running()
        finally:
            self._end_group()
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _keep_running(self) -> int:
        while True:
            began = time.monotonic()
            code = self._run_once()
            if self._asked:
                return 0
            if code in HOPELESS:
                self._tell("dramatiq could not start; its message above says why.")
                return UNABLE
            pause_s = self._pauses.after(time.monotonic() - began)
            self._tell(f"dramatiq ended ({_ending(code)}); it starts again in {pause_s:g} s.")
            self._sleep(pause_s)
            if self._asked:
                return 0

    def _run_once(self) -> int:
        """Run the master once; nothing of its group is left afterwards."""
        # One thread only, so a function between fork and exec is safe here.
        self._master = subprocess.Popen(
            self._argv,
            env=self._env,
            preexec_fn=_dying_with(os.getpid()),
            start_new_session=True,
        )
        if self._asked:
            self._master.terminate()
        asked_at = None
        while True:
            try:
                code = self._master.wait(TICK_S)
            except subprocess.TimeoutExpired:
                if self._asked and asked_at is None:
                    asked_at = time.monotonic()
                if asked_at is not None and time.monotonic() - asked_at > self._grace_s:
                    self._tell(f"Running batches did not end within {self._grace_s:g} s.")
                    self._end_group()
                continue
            self._end_group()
            self._await_group()
            return code

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        self._asked.append(signum)
        if self._master is None or self._master.poll() is not None:
            return
        if len(self._asked) == 1:
            self._master.terminate()
        else:
            self._end_group()

    def _pass_on(self, signum: int, _frame: FrameType | None) -> None:
        if self._master is not None and self._master.poll() is None:
            self._master.send_signal(signum)

    def _end_group(self) -> None:
        """Kill what is left of the master's process group."""
        if self._master is None:
            return
        try:
            os.killpg(self._master.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def _await_group(self) -> None:
        """Return once nothing of the group runs."""
        until = time.monotonic() + REAP_S
        while self._master is not None and time.monotonic() < until:
            if not _running_in(self._master.pid):
                return
            time.sleep(0.01)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._asked and time.monotonic() < until:
            time.sleep(min(TICK_S, seconds))


def _running_in(group: int) -> bool:
    """Tell whether a process of the group still runs; one that only waits to be reaped does not."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent group …; the name may hold blanks and brackets.
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def _dying_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # It died before the line above.
            os._exit(SIGNAL + signal.SIGTERM)

    return prepare


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
