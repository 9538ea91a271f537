"""Cuts the connections of this process to a PostgreSQL that hangs: nobody waits for it without end.

libpq limits the making of a connection, not the wait for an answer, and a server whose processes
are stopped (a frozen machine, a hung disk) keeps its TCP connections open. A limit on statements
would end honest long ones as well. So a session that lasts is looked into: when the server lets
nobody else in either, its connection is cut, and the statement fails as on a server that is away.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol


class Connection(Protocol):
    """What a watched connection can tell."""

    def fileno(self) -> int:
        """Return the descriptor of its socket."""


class Watch:
    """Looks at sessions that last longer than half of ``patience_s``; ``answers`` asks the server.

    ``answers`` takes a time limit in seconds; a session is cut within ``patience_s``, or a little
    more where libpq's shortest limit (2 s) is longer than half of that.
    """

    def __init__(self, answers: Callable[[float], bool], patience_s: float) -> None:
        self._answers = answers
        self._after_s = patience_s / 2
        self._open: dict[int, tuple[float, Connection]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._process = 0

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Watch over this thread's use of the connection while the block runs."""
        if self._process != os.getpid():
            self._start()
        me = threading.get_ident()
        self._open[me] = (time.monotonic(), connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.pop(me, None)

    def close(self) -> None:
        """End the watching thread."""
        self._closed.set()

    def _start(self) -> None:
        # Threads do not come along into a forked process.
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._open.clear()
            threading.Thread(target=self._run, name="database watch", daemon=True).start()

    def _run(self) -> None:
        tick = self._after_s / 4
        fine_until = 0.0
        while not self._closed.wait(tick):
            now = time.monotonic()
            if now < fine_until or not self._begun_before(now - self._after_s):
                continue
            # Who began before the question and waits when it was left open waits in vain, too.
            if self._answers(self._after_s):
                fine_until = time.monotonic() + self._after_s
            else:
                self._cut(now)

    def _begun_before(self, moment: float) -> list[tuple[float, Any]]:
        return [held for held in self._open.copy().values() if held[0] <= moment]

    def _cut(self, moment: float) -> None:
        with self._lock:
            for _, connection in self._begun_before(moment):
                with suppress(Exception):
                    _shut(connection.fileno())


def _shut(descriptor: int) -> None:
    # The thread that waits for an answer reads the end of the stream instead.
    with socket.socket(fileno=os.dup(descriptor)) as wire:
        wire.shutdown(socket.SHUT_RDWR)
