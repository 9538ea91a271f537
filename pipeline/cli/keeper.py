"""Stands in the seat of one of dramatiq's worker processes and keeps one at work in it.

Dramatiq's master ends all worker processes when one of them ends. So each of its children is a
keeper, a small process that never loads an actor: it starts the worker process, starts another
when that was killed or has ended by itself (``pipeline/cli/recycling.py``), and passes signals on.
A worker process that cannot work (exit codes above 0) ends its keeper, and so the master, as ever.
"""

import logging
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from dramatiq import cli

from pipeline import logs
from pipeline.broker import current_broker
from pipeline.cli.pauses import Pauses
from pipeline.cli.recycling import Recycling
from pipeline.errors import QuaylineError
from pipeline.settings import get_settings

log = logging.getLogger("pipeline.worker")

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
#: How long a signal may wait for the end of a pause.
TICK_S = 0.1

_work_in_seat = cli.worker_process


def install() -> None:
    """From here on dramatiq's master starts keepers instead of its worker processes."""
    cli.worker_process = keep


def keep(args: Any, worker_id: int, pipe: Any, canteen: Any, booted: Any) -> None:
    """Keep a worker process at work until a signal asks for its end."""
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(Keeper((args, worker_id, pipe, canteen, booted)).run())


def work(args: Any, worker_id: int, pipe: Any, canteen: Any, booted: Any) -> None:
    """Be dramatiq's worker process, until it is over its measure."""
    # Its default name, which rows are leased under, holds the id of the process.
    get_settings.cache_clear()
    settings = get_settings()
    # What keeps the broker from being made is told by the actors' own import.
    with suppress(QuaylineError):
        current_broker().add_middleware(
            Recycling(
                max_messages=settings.max_messages_per_child,
                max_memory_bytes=settings.max_memory_per_child_bytes,
            )
        )
    _work_in_seat(args, worker_id, pipe, canteen, booted)


class Keeper:
    """Runs worker processes one after the other; ``run`` returns the exit code."""

    def __init__(self, told: tuple[Any, ...]) -> None:
        self._told = told
        self._child: int | None = None
        self._is_asked = False

    def run(self) -> int:
        """Start, watch and start again."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for each in PASSED_ON:
            signal.signal(each, self._pass_on)
        pauses = Pauses()
        while True:
            began = time.monotonic()
            code = self._run_once()
            if self._is_asked or code > 0:
                return max(code, 0)
            if code < 0:
                self._wait(code, pauses.after(time.monotonic() - began))

    def _run_once(self) -> int:
        """Return the exit code of one worker process; below 0 it is the signal that killed it."""
        # The worker process unblocks signals when it has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, cli.HANDLED_SIGNALS)
        if self._is_asked:
            return 0
        # Not by multiprocessing: to whom asks it for the parent, that is still dramatiq's master.
        # There is one thread here.
        child = os.fork()
        if child == 0:
            _end_with(self._told)
        self._child = child
        signal.pthread_sigmask(signal.SIG_UNBLOCK, cli.HANDLED_SIGNALS)
        _, status = os.waitpid(child, 0)
        self._child = None
        return os.waitstatus_to_exitcode(status)

    def _wait(self, code: int, pause_s: float) -> None:
        log.warning(
            "A worker process was killed; another one starts",
            extra={"signal": signal.Signals(-code).name, "pause_s": pause_s},
        )
        until = time.monotonic() + pause_s
        while not self._is_asked and time.monotonic() < until:
            time.sleep(TICK_S)

    def _pass_on(self, signum: int, _frame: FrameType | None) -> None:
        self._is_asked = True
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signum)


def _end_with(told: tuple[Any, ...]) -> NoReturn:
    """Work, and end this process as multiprocessing ends its own: without the keeper's rest."""
    code = 1
    try:
        work(*told)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        log.exception("A worker process ended")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
