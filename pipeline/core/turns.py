"""Turns: what many threads of a process want done at once is done by one of them, for all."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: So long, in seconds, one waits for the turn of another, which may hang; then they work side by
#: side. Whoever should have been done waiting is not counted on any more, either.
PATIENCE_S = 1.0


class Turns:
    """One works, at most one waits for its turn.

    Who comes while one waits need not wait as well: that one has not looked at the rows yet. So no
    thread stands in line at the database, and what many of them changed is one look at the rows.
    It spares work and guards nothing: the database's own lock does that.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._door = threading.Lock()
        self._waiting_since = -math.inf

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Yield True when it is the caller's turn; False when one that waits does it for all."""
        now = time.monotonic()
        with self._door:
            is_covered = now < self._waiting_since + PATIENCE_S
            if not is_covered:
                self._waiting_since = now
        if is_covered:
            yield False
            return
        is_alone = self._turn.acquire(timeout=PATIENCE_S)
        try:
            with self._door:
                self._waiting_since = -math.inf
            yield True
        finally:
            if is_alone:
                self._turn.release()
