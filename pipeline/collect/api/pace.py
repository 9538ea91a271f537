"""Not more requests per second than agreed."""

import time

from pipeline.collect.errors import Stopped
from pipeline.collect.stopping import Stop


class Pace:
    """Spaces requests evenly; for one thread."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1.0 / per_second
        self._next_at = 0.0

    def wait(self, stop: Stop) -> None:
        """A request may go out now; raises ``Stopped`` where a stop comes first."""
        now = time.monotonic()
        if stop.wait(self._next_at - now):
            raise Stopped(stop.reason)
        self._next_at = max(now, self._next_at) + self._gap_s
