"""One file's talk with a child: send the work, wait for the reply, watch the budgets."""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.adapters.sqlfluff import frames
from pipeline.adapters.sqlfluff.processes import Child
from pipeline.states import Reason

TICK_S = 0.1
# While memory grows this much in one tick, look more often.
QUICK_TICK_S = 0.01
GROWING_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one file."""

    time_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Why there is no reply; ``reason`` None: the child is gone and nobody here killed it."""

    reason: Reason | None
    message: str
    peak_memory_bytes: int = 0


def hold(
    child: Child, work: bytes, limits: Limits, cancelled: Callable[[], bool]
) -> dict[str, Any] | Ended:
    """The child's reply, or why there is none; in that case the child is to be killed."""
    watch = _Watch(child, limits, cancelled)
    connection = child.connection
    connection.setblocking(False)
    ended = _send(child, work, watch)
    received = bytearray()
    expected: int | None = None
    while ended is None:
        ended = watch.wait(for_write=False)
        if ended is not None:
            break
        try:
            data = connection.recv(1 << 20)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if not data:
            return Ended(None, "", watch.peak_bytes)
        received += data
        if expected is None and len(received) >= frames.REPLY.size:
            expected = frames.REPLY.size + frames.REPLY.unpack_from(received)[0]
            if expected > frames.MAX_REPLY_BYTES + frames.REPLY.size:
                return Ended(Reason.TOO_LARGE, "The result of this file is too large to keep.")
        if expected is not None and len(received) >= expected:
            return _parse(memoryview(received)[frames.REPLY.size :])
    return ended


def _send(child: Child, work: bytes, watch: "_Watch") -> Ended | None:
    left = memoryview(work)
    while left:
        try:
            left = left[child.connection.send(left) :]
        except BlockingIOError:
            ended = watch.wait(for_write=True)
            if ended is not None:
                return ended
        except OSError:
            return Ended(None, "", watch.peak_bytes)
    return None


def _parse(raw: memoryview) -> dict[str, Any] | Ended:
    """A reply of the right shape; the child may be lying."""
    try:
        reply = orjson.loads(raw)
        reason, message, result = reply["reason"], reply["message"], reply["result"]
        shape_is_right = (
            isinstance(result, dict) if reason is None else reason in set(Reason) and result is None
        )
        if shape_is_right and isinstance(message, str):
            return {"reason": reason, "message": message, "result": result}
    except (ValueError, KeyError, TypeError):
        pass
    return Ended(Reason.CRASHED, "The lint process gave no sensible answer for this file.")


class _Watch:
    """Waits for the socket while it looks after time, memory and cancellation."""

    def __init__(self, child: Child, limits: Limits, cancelled: Callable[[], bool]) -> None:
        self._child = child
        self._limits = limits
        self._cancelled = cancelled
        self._deadline = time.monotonic() + limits.time_s
        self._look_at = time.monotonic() + TICK_S
        self._seen_bytes = 0
        self.peak_bytes = 0

    def wait(self, *, for_write: bool) -> Ended | None:
        """None when the socket is ready; otherwise the budget that is spent."""
        sockets = [self._child.connection]
        while True:
            left_s = max(0.0, self._look_at - time.monotonic())
            readable, writable, _ = select.select(
                [] if for_write else sockets, sockets if for_write else [], [], left_s
            )
            # A child that always has something to say is looked at all the same.
            if time.monotonic() >= self._look_at:
                ended = self._look()
                if ended is not None:
                    return ended
            if readable or writable:
                return None

    def _look(self) -> Ended | None:
        memory = self._child.memory_bytes()
        tick_s = QUICK_TICK_S if memory - self._seen_bytes > GROWING_BYTES else TICK_S
        self._look_at = min(time.monotonic() + tick_s, self._deadline)
        self._seen_bytes = memory
        self.peak_bytes = max(self.peak_bytes, memory)
        limits = self._limits
        if memory > limits.memory_bytes:
            return Ended(
                Reason.OUT_OF_MEMORY,
                f"Linting this file took more than {limits.memory_bytes // MIB} MiB of memory.",
            )
        if time.monotonic() >= self._deadline:
            return Ended(
                Reason.TIME_LIMIT, f"Linting this file took longer than {limits.time_s:g} seconds."
            )
        if self._cancelled():
            return Ended(Reason.CANCELLED, "The work was cancelled.")
        return None


def explain(status: int, ended: Ended, memory_limit_bytes: int) -> Ended:
    """What an exit that nobody here caused says about the file."""
    if not os.WIFSIGNALED(status):
        return Ended(Reason.CRASHED, "The lint process ended while it worked on this file.")
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    # An allocation that fails inside Rust aborts; the kernel's own killer sends SIGKILL. A small
    # process that is killed was in somebody else's way: that file is worth another run.
    was_large = ended.peak_memory_bytes * 2 > memory_limit_bytes
    if was_large and number in (signal.SIGABRT, signal.SIGKILL):
        return Ended(Reason.OUT_OF_MEMORY, f"The lint process of this file was ended by {name}.")
    return Ended(Reason.CRASHED, f"The lint process crashed on this file ({name}).")
