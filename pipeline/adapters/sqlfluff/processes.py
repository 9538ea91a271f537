"""The owner's side of lint processes: one zygote, and the children it forks."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pipeline
from pipeline import processes
from pipeline.errors import Transient

BOOT_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0
MAX_MESSAGE_BYTES = 64 * 1024
# What a lint process inherits; no settings, no secrets.
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SYSTEMROOT")


class ZygoteGone(Exception):
    """Raised when the zygote does not answer any more."""


class Child:
    """One lint process: its socket and how to end it. Not shared between threads."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self.files = 0
        self._handle = _open_handle(pid)

    def is_idle(self) -> bool:
        """Whether it can take work: alive, and with nothing to say."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        return not ready

    def memory_bytes(self) -> int:
        """Resident and swapped memory; 0 when it is gone or the system does not say."""
        return processes.memory_bytes(self.pid)

    def kill(self) -> None:
        """It runs no further instruction of ours."""
        with contextlib.suppress(OSError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing of it is held here; an idle child ends by that."""
        self.connection.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Zygote:
    """Starts the zygote process and asks it for children. Thread-safe."""

    module = "pipeline.adapters.sqlfluff.zygote"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = control
        try:
            with theirs:
                self._process = self._start(theirs)
            self._receive(BOOT_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def fork(self, *, warm: list[str], address_space_bytes: int) -> Child:
        """A fresh child; ``warm`` names dialects it should have ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            request = {"op": "fork", "warm": warm, "address_space_bytes": address_space_bytes}
            try:
                answer = self._ask(request, [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return Child(answer["pid"], ours)

    def exit_status(self, child: Child) -> int | None:
        """How this child ended, as ``waitpid`` says it; None when that is not known."""
        status = self._ask({"op": "reap", "pid": child.pid})["status"]
        return status if isinstance(status, int) else None

    def close(self) -> None:
        """No process is left."""
        self._control.close()
        process = getattr(self, "_process", None)
        if process is not None:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """For a forked copy of the owner: the zygote is not ours."""
        self._control.close()
        self._process.returncode = 0  # it is not our child to wait for

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def _start(self, theirs: socket.socket) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", self.module]
        arguments = [str(theirs.fileno()), str(os.getpid())]
        return subprocess.Popen(
            command + arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",  # nothing is looked up there, and no folder of ours could be left behind
            env=_environment(),
            close_fds=True,
            pass_fds=(theirs.fileno(),),
        )

    def _ask(self, request: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], fds or [])
            except OSError:
                raise ZygoteGone from None
            return self._receive(ANSWER_TIMEOUT_S)

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        self._control.settimeout(timeout_s)
        try:
            message = self._control.recv(MAX_MESSAGE_BYTES)
        except OSError:
            raise ZygoteGone from None
        if not message:
            raise ZygoteGone
        answer: dict[str, Any] = json.loads(message)
        if "error" in answer:
            raise Transient(f"The lint engine cannot start: {answer['error']}")
        return answer


def _environment() -> dict[str, str]:
    """The same SQLFluff as ours is found, and nothing else of our environment is seen."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    home = str(Path(pipeline.__file__).resolve().parents[1])
    paths = [path for path in sys.path if os.path.isabs(path) and os.path.exists(path)]
    return kept | {
        "HOME": "/nonexistent",
        "TMPDIR": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([*paths, home])),
        "PYTHONHASHSEED": "0",  # LT07 walks a set
        "PYTHONUTF8": "1",
        "SQLFLUFF_RS_NATIVE_AST": "1",
    }


def _open_handle(pid: int) -> int | None:
    """A descriptor of the process, so that a reused process id is never hit."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
