"""The process of one heavy call: ``python -m pipeline.kinds.service.child FD WORKER_PID``.

It imports the service's module, calls it, tells its answer and ends. It ends with its worker, too:
at once by the kernel where it can, else when the socket says that the worker is gone.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from pipeline import logs, processes
from pipeline.kinds.service import calling, frames, registry
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.runs import Run
from pipeline.kinds.service.surroundings import Surroundings
from pipeline.states import Reason

log = logging.getLogger(__name__)

#: What is told at any rate goes out so often, in seconds.
FLUSH_EVERY_S = 0.1


def main(arguments: list[str]) -> None:
    """Make the call."""
    processes.die_with_parent(int(arguments[1]))
    connection = socket.socket(fileno=int(arguments[0]))
    order = frames.receive(connection)
    logs.configure(order["log_level"], order["log_format"])
    line = Line(connection, Path(order["folder"]))
    line.start()
    run = Run(**order["run"])
    with logs.bind(job_id=run.job_id, task_id=run.task_id):
        told = _answer(run, order, line)
    line.end(told)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # What the service has left running is not waited for.
    os._exit(0)


def _answer(run: Run, order: dict[str, Any], line: "Line") -> Answer:
    try:
        _load(order["module"], order["main"])
        offer = registry.find(run.mode, run.service)
    except Exception as error:
        log.exception("A service cannot be loaded")
        return Answer(None, Reason.ERROR, f"The service cannot be loaded: {error}"[:1000])
    surroundings = Surroundings(run, line.note, line.stopped.is_set, Path(order["folder"]))
    try:
        return calling.answer(
            *(offer, run.task, run.input, surroundings),
            awaiting=asyncio.run,
            most_bytes=order["most_bytes"],
        )
    except BaseException as error:
        log.exception("A service broke off")
        return Answer(None, Reason.ERROR, type(error).__name__)


def _load(module: str, main: str | None) -> None:
    """Have the service registered. One that stands in the program itself is found there."""
    if module == "__main__" and main is not None:
        runpy.run_path(main, run_name="__mp_main__")
    else:
        importlib.import_module(module)


class Line(threading.Thread):
    """The line to the worker: what the service notes goes out, that it should stop comes in."""

    def __init__(self, connection: socket.socket, folder: Path) -> None:
        super().__init__(name="line", daemon=True)
        self.stopped = threading.Event()
        self._connection = connection
        self._folder = folder
        self._lock = threading.Lock()
        self._progress: Any = None
        self._partial: list[str] = []

    def run(self) -> None:
        """Send what waits, hear what comes, until the worker is gone."""
        while True:
            if select.select([self._connection], [], [], FLUSH_EVERY_S)[0]:
                try:
                    message = frames.receive(self._connection)
                except (EOFError, OSError):
                    self._worker_is_gone()
                    return
                if message.get("stop"):
                    self.stopped.set()
            with self._lock:
                self._flush()

    def note(self, word: str, value: Any) -> None:
        """Tell the worker; progress and partial output a little later, together."""
        with self._lock:
            if word == "progress":
                self._progress = value
            elif word == "partial":
                self._partial.append(value)
            else:
                self._send({"note": word, "value": value})

    def end(self, told: Answer) -> None:
        """Tell the answer."""
        with self._lock:
            self._flush()
            self._send({"end": told.document()})

    def _flush(self) -> None:
        if self._progress is not None:
            self._send({"note": "progress", "value": self._progress})
            self._progress = None
        if self._partial:
            self._send({"note": "partial", "value": "".join(self._partial)})
            self._partial.clear()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._connection.sendall(frames.packed(message))
        except OSError:
            self._worker_is_gone()

    def _worker_is_gone(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
