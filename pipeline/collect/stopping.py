"""The wish that the work ends early: by a signal, or by the service's answer."""

import signal
import threading
from types import FrameType


class Stop:
    """Set once, with its reason; everything that waits wakes up."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""

    def request(self, reason: str) -> None:
        """The work is to end at its next step; the first reason stays."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    @property
    def requested(self) -> bool:
        """True from the first request on."""
        return self.event.is_set()

    def wait(self, seconds: float) -> bool:
        """Return True as soon as it is requested, False after so many seconds."""
        return self.event.wait(max(0.0, seconds))


def heed_signals(stop: Stop) -> None:
    """TERM and INT request the stop from now on."""

    def request(number: int, frame: FrameType | None) -> None:
        stop.request(f"stopped by {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, request)
    signal.signal(signal.SIGINT, request)
