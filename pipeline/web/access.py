"""Notes every request for the access log, without a wait for anybody.

A request costs an entry in a queue in memory. A task takes the entries from there, batch by batch,
and hands them to the broker; where all is one process, to the database. What is not handed on yet
is lost when the process is killed: the requests of the last seconds.
"""

import asyncio
import logging
import time
from collections import deque

import anyio
from anyio import to_thread
from peewee import PeeweeException
from starlette.types import Scope

from pipeline import broker
from pipeline.core import access_log
from pipeline.core.access_log import MOST_IN_BATCH, Record
from pipeline.errors import QuaylineError
from pipeline.settings import Settings
from pipeline.web.entries import Entry, noticed, record_of
from pipeline.web.figures import Figures

log = logging.getLogger(__name__)

#: Entries in memory, some 500 bytes each; of more the oldest are dropped.
MOST_WAITING = 20_000
#: Batches that wait for a worker, a million requests; nobody takes them, and RabbitMQ need not
#: keep more. How many there are is asked once in so many seconds.
MOST_QUEUED = 5000
LOOK_S = 30.0
#: For what is left when the server ends.
CLOSE_S = 10.0

#: Asked by machines, again and again, and never by a user.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
HEARTBEATS = frozenset({"/api/v1/monitoring/heartbeat", "/t/{token}/api/v1/monitoring/heartbeat"})


class AccessLog:
    """The entries of one application; it belongs to the event loop that it runs in."""

    def __init__(self, settings: Settings, figures: Figures) -> None:
        self._settings = settings
        self._records = figures.access_records
        self._trusted = settings.trusted_proxies
        self._unnoted = PROBES | (HEARTBEATS if settings.access_log == "requests" else set())
        self._waiting: deque[Entry] = deque()
        self._dropped = 0
        self._batch: list[Record] = []
        self._is_full = asyncio.Event()
        self._looked_at = -LOOK_S
        self._is_taken = True
        # A thread of its own: a broker that is slow takes none from the requests.
        self._limiter = anyio.CapacityLimiter(1)

    def note(
        self, scope: Scope, route: str, status: int, seconds: float, location: str = ""
    ) -> None:
        """Remember the request, and where what it made is; no wait, no error."""
        if self._settings.access_log == "off" or route in self._unnoted:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(noticed(scope, route, status, seconds, location))
        if len(self._waiting) >= MOST_IN_BATCH:
            self._is_full.set()

    async def run(self) -> None:
        """Hand on what there is, every few seconds, or as soon as it is a whole batch."""
        while True:
            try:
                async with asyncio.timeout(self._settings.access_log_s):
                    await self._is_full.wait()
            except TimeoutError:
                pass
            self._is_full.clear()
            if not await self.flush():
                await asyncio.sleep(self._settings.access_log_s)

    async def close(self) -> None:
        """Hand on the rest, as far as it is taken within some seconds."""
        with anyio.move_on_after(CLOSE_S):
            await self.flush()
        self._dropped += len(self._waiting) + len(self._batch)
        self._tell_dropped()

    async def flush(self) -> bool:
        """Hand on all; False when that cannot be done now: it waits, within its bound."""
        self._tell_dropped()
        while self._batch or self._waiting:
            if not await to_thread.run_sync(self._hand_on, limiter=self._limiter):
                return False
        return True

    def _hand_on(self) -> bool:
        """Hand on a batch: the one that was not taken before, with the ids that it had then."""
        try:
            if not self._batch:
                number = min(MOST_IN_BATCH, len(self._waiting))
                entries = [self._waiting.popleft() for _ in range(number)]
                self._batch = [record_of(each, self._trusted) for each in entries]
            if not self._deliver():
                return False
            self._records.labels("handed_on").inc(len(self._batch))
        except (QuaylineError, PeeweeException) as error:
            log.warning("Requests could not be noted yet", extra={"error": str(error)})
            return False
        except Exception:
            log.exception("Requests could not be noted")
            self._dropped += len(self._batch)
        self._batch = []
        return True

    def _deliver(self) -> bool:
        if self._settings.embedded:
            access_log.store(self._batch)
            return True
        told = broker.message(access_log.QUEUE, access_log.ACTOR, self._batch)
        return self._somebody_takes() and broker.send([told])

    def _somebody_takes(self) -> bool:
        """Tell whether few enough batches wait; a broker that is away says so at the sending."""
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            queued = broker.waiting(access_log.QUEUE) or 0
            self._is_taken = queued <= MOST_QUEUED
            if not self._is_taken:
                log.warning("No worker takes the access log", extra={"queued": queued})
        return self._is_taken

    def _tell_dropped(self) -> None:
        if self._dropped:
            log.warning("Requests are not in the access log", extra={"records": self._dropped})
            self._records.labels("dropped").inc(self._dropped)
            self._dropped = 0
