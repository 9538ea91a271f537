"""When each host may be asked again."""

import threading
import time
from dataclasses import dataclass

from pipeline.collect.crawler.robots import Robots


@dataclass(slots=True)
class _Host:
    robots: Robots | None = None
    next_at: float = 0.0


class Hosts:
    """Keeps the delay between two requests to a host; used by many threads."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def robots(self, host: str) -> Robots | None:
        """Return the rules of a host, or None while they are not known."""
        with self._lock:
            return self._hosts.setdefault(host, _Host()).robots

    def learn(self, host: str, robots: Robots) -> None:
        """The rules of a host are known, and asking for them was a request, too."""
        with self._lock:
            self._hosts.setdefault(host, _Host()).robots = robots
        self.reserve(host)

    def reserve(self, host: str) -> None:
        """A request goes out now; the next one has to wait."""
        with self._lock:
            self._advance(self._hosts.setdefault(host, _Host()))

    def claim(self, host: str) -> float:
        """Return 0 where a request may go out now, as the only one, else the seconds to wait."""
        with self._lock:
            told = self._hosts.setdefault(host, _Host())
            wait_s = told.next_at - time.monotonic()
            if wait_s > 0:
                return wait_s
            self._advance(told)
            return 0.0

    def _advance(self, told: _Host) -> None:
        delay_s = max(self._delay_s, told.robots.delay_s if told.robots else 0.0)
        told.next_at = max(told.next_at, time.monotonic() + delay_s)

    def postpone(self, host: str, seconds: float) -> None:
        """The host asked for so much time."""
        with self._lock:
            told = self._hosts.setdefault(host, _Host())
            told.next_at = max(told.next_at, time.monotonic() + seconds)

    def waiting(self) -> dict[str, float]:
        """Return the hosts that have to wait, with the seconds that they still do."""
        now = time.monotonic()
        with self._lock:
            return {
                name: host.next_at - now for name, host in self._hosts.items() if host.next_at > now
            }
