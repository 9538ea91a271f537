"""The talk with a child: send the work, wait for the reply, watch the budgets of each file."""

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
PIECE_BYTES = 64 * 1024


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


class Conversation:
    """The talk with one child, which answers in order. What is sent while it works waits in its
    socket: between two files nobody has to be woken for it."""

    def __init__(self, child: Child) -> None:
        self.child = child
        #: Pieces of work that were sent and not answered.
        self.unanswered = 0
        self._unsent = memoryview(b"")
        self._received = bytearray()
        child.connection.setblocking(False)

    @property
    def is_at_rest(self) -> bool:
        """It has answered all that was sent, and said nothing else."""
        return not (self.unanswered or self._received)

    def send(self, work: bytes) -> None:
        """Send the work as far as the socket takes it; ``reply`` sends the rest."""
        self.unanswered += 1
        self._unsent = memoryview(bytes(self._unsent) + work)
        self._push()

    def reply(self, limits: Limits, cancelled: Callable[[], bool]) -> dict[str, Any] | Ended:
        """The child's next reply, or why there is none; in that case the child is to be killed."""
        watch = _Watch(self.child, limits, cancelled)
        while not self._is_complete():
            if frames.reply_bytes(self._received) > frames.MAX_REPLY_BYTES:
                return Ended(Reason.TOO_LARGE, "The result of this file is too large to keep.")
            ended = watch.wait(for_write=bool(self._unsent))
            if ended is not None:
                return ended
            self._push()
            if not self._pull():
                return Ended(None, "", watch.peak_bytes)
        end = frames.REPLY.size + frames.reply_bytes(self._received)
        raw = bytes(self._received[frames.REPLY.size : end])
        del self._received[:end]
        self.unanswered -= 1
        return _parse(raw)

    def _is_complete(self) -> bool:
        size = frames.reply_bytes(self._received)
        return 0 <= size <= min(frames.MAX_REPLY_BYTES, len(self._received) - frames.REPLY.size)

    def _push(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.child.connection.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = memoryview(b"")  # it is gone: whoever reads hears of it

    def _pull(self) -> bool:
        """Read what there is; False at the end of what the child has to say."""
        try:
            data = self.child.connection.recv(PIECE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._received += data
        return bool(data)


def _parse(raw: bytes) -> dict[str, Any] | Ended:
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
        """None when the socket has something to read, or takes something; otherwise the budget
        that is spent."""
        sockets = [self._child.connection]
        while True:
            left_s = max(0.0, self._look_at - time.monotonic())
            readable, writable, _ = select.select(sockets, sockets if for_write else [], [], left_s)
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
