"""How much of a job's history somebody has been told, as a text that they can come back with.

Rows of the history get their numbers before they are committed: a lower one may come to sight after
a higher one. So a cursor says up to where all was told, and which rows after that.
"""

import re
import time
from collections.abc import Iterable

from pipeline.core.history import runs
from pipeline.errors import Refused

#: A transaction of ours that is open for longer was ended by the database; what has so many seconds
#: behind it has nothing before it that is still to come.
SETTLED_S = 60.0
#: A cursor travels in a header; of a longer one the oldest rows count as settled.
MOST_TEXT = 1500
#: Rows that a cursor from elsewhere may name.
MOST_NAMED = 100_000

_FORM = re.compile(r"\d{1,18}(?:\.\d{1,9}(?:-\d{1,9})?)*", re.ASCII)


class Cursor:
    """Rows of one job's history that were told: all up to ``settled``, and some after it."""

    def __init__(self, settled: int = 0, seen: Iterable[int] = ()) -> None:
        self.settled = settled
        now = time.monotonic()
        #: When each was written, by this process's clock.
        self._seen = dict.fromkeys(seen, now)

    @property
    def last(self) -> int:
        """The highest row that was told."""
        return max(self._seen, default=self.settled)

    def take(self, row: int, age_s: float) -> bool:
        """Note that the row is told, which was written so long ago; False when it was before."""
        if row <= self.settled or row in self._seen:
            return False
        self._seen[row] = time.monotonic() - age_s
        return True

    def settle(self) -> None:
        """Forget single rows that are old: nothing before them is still to come."""
        before = time.monotonic() - SETTLED_S
        settled = max((row for row, at in self._seen.items() if at < before), default=0)
        self._settle(settled)

    def _settle(self, row: int) -> None:
        if row > self.settled:
            self.settled = row
            self._seen = {each: at for each, at in self._seen.items() if each > row}

    def text(self) -> str:
        """Return it as ``settled.a-b.c``: runs of the rows after that one, as differences."""
        self.settle()
        while True:
            told = runs([row - self.settled for row in self._seen])
            parts = [f"{a}" if a == b else f"{a}-{b}" for a, b in told]
            text = ".".join([str(self.settled), *parts])
            if len(text) <= MOST_TEXT:
                return text
            self._settle(self.settled + told[len(told) // 2][1])

    def copy(self) -> "Cursor":
        """Return another one that has been told as much."""
        other = Cursor(self.settled)
        other._seen = dict(self._seen)
        return other

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Return the cursor that was written so; ``Refused`` for another text."""
        if len(text) > MOST_TEXT or not _FORM.fullmatch(text):
            raise _foreign()
        first, *parts = text.split(".")
        settled = int(first)
        seen: list[int] = []
        for part in parts:
            a, _, b = part.partition("-")
            begin, end = int(a), int(b or a)
            if not 0 < begin <= end or len(seen) + end - begin > MOST_NAMED:
                raise _foreign()
            seen += range(settled + begin, settled + end + 1)
        return cls(settled, seen)


def _foreign() -> Refused:
    return Refused("The event id is none of this stream; begin without one.")
