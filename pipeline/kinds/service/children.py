"""A heavy call: a process of its own, with its own group, that can be killed.

It lives no longer than its call: at the end, at its limits and with its worker all of the group is
killed. What it tells comes over a socket; what it prints goes where the worker's lines go.
"""

import contextlib
import contextvars
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipeline import metrics, processes, tracing
from pipeline.kinds.service import frames
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.folders import RunFolder
from pipeline.kinds.service.frames import Inbox
from pipeline.kinds.service.registry import Offer
from pipeline.kinds.service.runs import Run
from pipeline.kinds.service.surroundings import Note
from pipeline.settings import MIB, Settings
from pipeline.states import Reason

#: How often a child's memory is looked at, in seconds.
LOOK_EVERY_S = 0.1
#: A child that has closed its socket is given so long to end by itself.
END_S = 2.0
MODULE = "pipeline.kinds.service.child"


class ChildCall:
    """One run in a child process; ``ended`` is told its answer, once, from a thread."""

    is_mortal: ClassVar[bool] = True

    def __init__(self, offer: Offer, run: Run, note: Note, settings: Settings) -> None:
        self._offer = offer
        self._run = run
        self._note = note
        self._settings = settings
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._is_abandoned = False
        self._has_answered = False

    def start(self, ended: Callable[[Answer], None], *, after_s: float = 0.0) -> None:
        """Begin, after so many seconds."""

        def told() -> None:
            self._stop.wait(after_s)
            ended(self._answer())

        target = contextvars.copy_context().run
        threading.Thread(target=target, args=(told,), name="service", daemon=True).start()

    def ask_to_stop(self) -> None:
        """Let the service see that it should end."""
        with self._lock:
            self._stop.set()
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.sendall(frames.packed({"stop": True}))

    def abandon(self) -> None:
        """Kill it, and whatever it has started."""
        with self._lock:
            self._stop.set()
            self._is_abandoned = True
            self._kill()

    def _answer(self) -> Answer:
        folder = RunFolder()
        try:
            answer = self._call(folder.path)
            self._count(answer)
            return answer
        except OSError as error:
            told = f"The call's process could not be started: {error.strerror}."
            return Answer(None, Reason.ERROR, told, again=True)
        finally:
            self._end()
            folder.remove()

    def _call(self, folder: Path) -> Answer:
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            self._connection = ours
            if self._is_abandoned:
                return Answer(None, Reason.CANCELLED, "It was stopped.")
            self._process = _start(theirs, self._environment())
        order = {
            "run": self._run.document(),
            "module": self._offer.factory.__module__,
            "main": getattr(sys.modules["__main__"], "__file__", None),
            "folder": str(folder),
            "most_bytes": self._settings.service_output_bytes,
            "log_level": self._settings.log_level,
            "log_format": self._settings.log_format,
        }
        with contextlib.suppress(OSError):
            ours.sendall(frames.packed(order))
        if self._stop.is_set():
            self.ask_to_stop()
        return self._listen(ours)

    def _environment(self) -> dict[str, str]:
        """Return what it is told by variables."""
        return {
            **tracing.environment(uuid.UUID(self._run.job_id)),
            # An embedding program may have said it in another way than by its own.
            "QUAYLINE_MODELS": self._settings.models.get_secret_value(),
        }

    def _listen(self, ours: socket.socket) -> Answer:
        """Return the child's answer; note what it tells until then."""
        assert self._process is not None
        inbox = Inbox(self._settings.service_output_bytes + frames.SLACK_BYTES)
        most_bytes, peak_bytes = self._settings.service_memory_bytes, 0
        look_at = 0.0
        while True:
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY_S
                peak_bytes = max(peak_bytes, processes.memory_bytes(self._process.pid))
                if peak_bytes > most_bytes:
                    told = f"It took more than {most_bytes // MIB} MiB of memory."
                    return Answer(None, Reason.OUT_OF_MEMORY, told)
            if not select.select([ours], [], [], LOOK_EVERY_S)[0]:
                continue
            try:
                data = ours.recv(1 << 20)
                if not data:
                    return self._gone(peak_bytes)
                for message in inbox.take(data):
                    if "end" in message:
                        self._has_answered = True
                        return _told(message["end"])
                    self._note(message["note"], message["value"])
            except OSError:
                return self._gone(peak_bytes)
            except (ValueError, KeyError, TypeError):
                told = "The call's process gave no sensible answer."
                return Answer(None, Reason.CRASHED, told, again=True)

    def _gone(self, peak_bytes: int) -> Answer:
        """Return what the end of a child that gave no answer says."""
        assert self._process is not None
        status = _ended_by_itself(self._process.pid)
        if status is None:
            return Answer(None, Reason.CRASHED, "The call's process hangs.", again=True)
        code, number = status
        if code == os.CLD_EXITED:
            told = f"The call's process ended by itself, with exit code {number}."
            return Answer(None, Reason.CRASHED, told, again=True)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        told = f"The call's process was ended by {name}."
        # The kernel's own killer sends SIGKILL; an allocation that fails may abort.
        is_large = peak_bytes * 2 > self._settings.service_memory_bytes
        if is_large and number in (signal.SIGKILL, signal.SIGABRT):
            return Answer(None, Reason.OUT_OF_MEMORY, told)
        return Answer(None, Reason.CRASHED, told, again=True)

    def _count(self, answer: Answer) -> None:
        """Note a child that has come to no answer; one that was to be stopped says nothing of the
        service."""
        if self._process is not None and not self._has_answered:
            why = "stopped" if self._is_abandoned else str(answer.reason)
            metrics.SERVICE_CHILD_KILLS.add(self._offer.mode, self._offer.name, why)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> None:
        """Nothing of it is left."""
        with self._lock:
            # Its number stays its own until it is waited for.
            self._kill()
            if self._process is not None:
                self._process.wait()
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _start(theirs: socket.socket, more_env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # As the worker's own, so that it finds the same modules.
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, str(theirs.fileno()), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        # What is printed by the program that this worker is a part of is that program's.
        stdout=2,
        env={**os.environ, "PYTHONPATH": path, **more_env},
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
    )


def _ended_by_itself(pid: int) -> tuple[int, int] | None:
    """Return how the process ended, and leave it to be waited for; None when it has not."""
    give_up_at = time.monotonic() + END_S
    while True:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            return found.si_code, found.si_status
        if time.monotonic() >= give_up_at:
            return None
        select.select([], [], [], 0.01)


def _told(document: dict[str, Any]) -> Answer:
    reason = document["reason"]
    return Answer(**{**document, "reason": None if reason is None else Reason(reason)})
