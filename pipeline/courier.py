"""A thread that talks to a server for all others, so that none waits longer than it is told.

What may hang is given to a courier; who gave it waits for the answer, or gives it up.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Of the thread that asks: whether it is a courier's.
_here = threading.local()


class Errand(Generic[T]):
    """One act on its way: whoever waits for it takes its answer, or gives it up, never both."""

    def __init__(self, act: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._act = act
        self._undo = undo
        self._lock = threading.Lock()
        self._answers: list[T] = []
        self._error: Exception | None = None
        self._given_up = False
        self.done = threading.Event()

    def __call__(self) -> bool:
        """Act, unless nobody waits any more; the courier goes on."""
        with self._lock:
            is_wanted = not self._given_up
        if is_wanted:
            try:
                self._settle(self._act())
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = error
        self.done.set()
        return True

    def _settle(self, answer: T) -> None:
        with self._lock:
            self._answers.append(answer)
            if self._given_up and self._undo is not None:
                self._undo(answer)

    def give_up(self) -> bool:
        """Wait no more; False when the answer came in this moment."""
        with self._lock:
            self._given_up = not self._answers
            return self._given_up

    def answer(self) -> T:
        """Return what the act returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._answers[0]


class Courier:
    """One thread that talks to the broker for all others, so that nobody waits longer than told.

    pika has no time limit for a confirm: before a broker that hangs, a send ends with the
    connection's heartbeat, minutes later. And a connection belongs to the thread that opened it,
    so senders that come and go would leave theirs behind. While an act hangs that its caller gave
    up, nobody else is let wait: the next one would wait for that same answer.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._errands: queue.SimpleQueue[Callable[[], bool]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        #: Set when the courier is past the act that was given up last.
        self._hung: threading.Event | None = None

    def run(self, act: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
        """Return what ``act`` returns in the courier's thread; ``TimeoutError`` when it takes long.

        An act that nobody waits for any more is not begun; what one returns that was begun goes to
        ``undo``. In the courier's own thread it is done at once.
        """
        if getattr(_here, "is_courier", False):
            return act()
        if self._hangs():
            raise TimeoutError("The broker still owes an answer.")
        errand = Errand(act, undo)
        self._give(errand)
        if not errand.done.wait(self._timeout_s) and errand.give_up():
            # Done as soon as the courier is past it, whether it hung itself or an act before it.
            self._hung = errand.done
            raise TimeoutError(f"The broker did not answer within {self._timeout_s} s.")
        return errand.answer()

    def leave(self, act: Callable[[], object]) -> None:
        """Let the courier do it when its turn comes; nobody waits, what it raises is logged."""

        def errand() -> bool:
            try:
                act()
            except Exception:
                log.exception("What was left to the courier failed")
            return True

        self._give(errand)

    def stop(self, last: Callable[[], object]) -> None:
        """Let the thread end after one last act, which is done even when it takes long."""
        hangs, done = self._hangs(), threading.Event()

        def errand() -> bool:
            try:
                last()
            finally:
                done.set()
            return False

        self._give(errand, is_last=True)
        done.wait(0.0 if hangs else self._timeout_s)

    def _hangs(self) -> bool:
        return self._hung is not None and not self._hung.is_set() and self._pid == os.getpid()

    def _give(self, errand: Callable[[], bool], *, is_last: bool = False) -> None:
        with self._lock:
            # A forked process has the object, but not its thread.
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._errands = queue.SimpleQueue()
                self._thread = threading.Thread(
                    target=self._work, args=(self._errands,), name="courier", daemon=True
                )
                self._thread.start()
            self._errands.put(errand)
            if is_last:
                self._thread = None

    @staticmethod
    def _work(errands: "queue.SimpleQueue[Callable[[], bool]]") -> None:
        _here.is_courier = True
        while errands.get()():
            pass
