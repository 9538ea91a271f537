"""Threads of their own for what may take long, so that the rest is answered meanwhile."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from pipeline.web.problems import too_busy

Found = TypeVar("Found")


class Room:
    """So many may work in it at a time, and of one owner so many; more are told to come again."""

    def __init__(self, what: str, places: int, *, of_one_owner: int | None = None) -> None:
        self._what = what
        self._limiter = anyio.CapacityLimiter(places)
        self._of_one_owner = of_one_owner or places
        self._by_owner: Counter[str] = Counter()

    async def run(self, work: Callable[[], Found], *, owner: str = "") -> Found:
        """Return what the work returns, done in a thread; 503 where there is no place."""
        if self._limiter.available_tokens < 1:
            raise too_busy(f"Too many {self._what} at the same time; send it again in a moment.")
        if self._by_owner[owner] >= self._of_one_owner:
            raise too_busy(f"Too many {self._what} of one owner; send it again in a moment.")
        self._by_owner[owner] += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]
