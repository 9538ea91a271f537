"""The calls of one batch, side by side: who may begin begins, who ends is written down.

Nothing here waits for a service: one that is over its limit, or does not stop when it is asked to,
costs itself. What cannot begin now is put off, without a strike.
"""

import logging
import queue
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

import tenacity

from pipeline import broker, metrics
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ending, Ledger
from pipeline.errors import DatabaseUnavailable
from pipeline.kinds.service import accounts, slots, verdicts
from pipeline.kinds.service.accounts import Account
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.flights import COMPLETED, MOST_LIGHT_S, Flight, Flying, Ready
from pipeline.kinds.service.registry import Offer

log = logging.getLogger(__name__)

#: A batch that took so long gives back what it has not begun.
BATCH_BUDGET_S = 300.0
#: How often calls are looked at, and what they tell is written, in seconds.
LOOK_EVERY_S, WRITE_EVERY_S = 0.1, 0.3


class Batch:
    """One batch under way; ``run`` returns when none of its calls goes on any more."""

    def __init__(
        self,
        ledger: Ledger,
        beat: Heartbeat,
        context: Context,
        begin: Callable[[Ready], Flying],
        *,
        most_call_s: float = MOST_LIGHT_S,
    ) -> None:
        self._ledger = ledger
        self._beat = beat
        self._context = context
        self._settings = context.settings
        self._begin_call = begin
        self._most_call_s = most_call_s
        self._waiting: deque[Ready] = deque()
        self._flights: dict[object, Flight] = {}
        self._ended: queue.SimpleQueue[tuple[Flight, Answer]] = queue.SimpleQueue()
        self._look_for_room_at: dict[str, float] = {}
        self._written_at = self._renewed_at = self._began_at = time.monotonic()
        self.has_failed = False

    def add(self, ready: Ready) -> None:
        """Let the call begin when ``run`` finds room for it."""
        self._waiting.append(ready)

    def run(self, *, stop_at_failure: bool = False) -> None:
        """Make the calls; what the ledger has open afterwards was stopped."""
        try:
            while self._waiting or self._flights:
                if self._beat.stopped() or (stop_at_failure and self.has_failed):
                    self._waiting.clear()
                elif broker.stopping():
                    self._put_off(self._waiting, "The worker was asked to stop.", 0.0)
                elif time.monotonic() - self._began_at > BATCH_BUDGET_S:
                    self._put_off(self._waiting, "The batch was long.", 0.0)
                else:
                    self._begin()
                self._hear()
                self._look()
                self._tell()
        finally:
            for flight in self._flights.values():
                flight.flying.abandon()
                flight.close("abandoned")

    # --- beginning ----------------------------------------------------------------------------

    def _begin(self) -> None:
        room = self._settings.service_threads - len(self._flights)
        by_service: defaultdict[str, list[Ready]] = defaultdict(list)
        for ready in self._waiting:
            by_service[ready.offer.label].append(ready)
        for label, all_ready in by_service.items():
            # Where nothing goes on there is nothing to wait for: who finds no room is put off.
            is_time = time.monotonic() >= self._look_for_room_at.get(label, 0.0)
            if room > 0 and (is_time or not self._flights):
                room -= self._begin_some(label, all_ready[:room])

    def _begin_some(self, label: str, some: list[Ready]) -> int:
        offer = some[0].offer
        lease_s = self._settings.lease_s
        try:
            found = slots.take(offer, [ready.claim for ready in some], lease_s=lease_s)
        except DatabaseUnavailable:
            if not self._flights:
                raise
            return 0
        for ready in some:
            if ready.claim.id in found.granted:
                self._waiting.remove(ready)
                self._fly(ready, found.granted[ready.claim.id])
        if found.wait_s > 0:
            self._look_for_room_at[label] = time.monotonic() + found.wait_s
            # A thread does not wait for long where nothing goes on.
            if not self._flights:
                self._no_room(offer, found.wait_s)
        return len(found.granted)

    def _no_room(self, offer: Offer, wait_s: float) -> None:
        mine = [ready for ready in self._waiting if ready.offer is offer]
        metrics.SERVICE_WAITS.add(offer.mode, offer.name, by=len(mine))
        waiting = slots.wait(offer, [ready.claim for ready in mine])
        for ready in mine:
            delay_s = verdicts.wait_s(wait_s, waiting, offer.limits)
            self._put_off([ready], f"The service {offer.label} has no room for it now.", delay_s)
        self._ledger.flush()
        # Room that came before it was noted is found now: nobody would tell of it.
        self._wake(offer)

    def _fly(self, ready: Ready, after_s: float) -> None:
        ready.account.begin()
        flight = Flight(ready, self._begin_call(ready), self._most_call_s)
        self._flights[ready.claim.id] = flight
        flight.start(lambda *ended: self._ended.put(ended), after_s=after_s)

    def _put_off(self, some: Iterable[Ready], message: str, delay_s: float) -> None:
        for ready in list(some):
            self._waiting.remove(ready)
            self._ledger.postpone(ready.claim, message, delay_s=delay_s)

    # --- ending -------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Write down what has ended; wait a moment where nothing has."""
        heard: list[tuple[Flight, Answer]] = []
        try:
            if self._flights:
                heard.append(self._ended.get(timeout=LOOK_EVERY_S))
            while True:
                heard.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        self._close([each for each in heard if each[0].ready.claim.id in self._flights])

    def _close(self, ended: list[tuple[Flight, Answer]], *, by_force: bool = False) -> None:
        """These runs are over; one whose thread was left keeps its slot until that lapses."""
        if not ended:
            return
        for flight, _ in ended:
            flight.ready.account.end()
            del self._flights[flight.ready.claim.id]
        self._write_last([flight.ready.account for flight, _ in ended])
        for flight, answer in ended:
            self._note(flight, answer)
        flights = [flight for flight, _ in ended]
        self._release([each for each in flights if each.flying.is_mortal or not by_force])

    def _note(self, flight: Flight, answer: Answer) -> None:
        ready = flight.ready
        offer, claim = ready.offer, ready.claim
        if answer.shared and answer.after_s:
            self._pause(offer, answer.after_s)
        metrics.SERVICE_SECONDS.observe(ready.account.seconds, offer.mode, offer.name)
        outcome = answer.reason or COMPLETED
        metrics.SERVICE_CALLS.add(offer.mode, offer.name, outcome)
        flight.close(outcome)
        if self._beat.stopped():
            return
        has_seen = answer.saw_stop and not flight.is_late
        if flight.is_handed_back and (has_seen or answer.reason is not None):
            self._ledger.postpone(claim, "The worker was asked to stop.", delay_s=0.0)
            return
        answer = verdicts.of_late(answer, offer.limits) if flight.is_late else answer
        decision = verdicts.decide(
            *(answer, claim, offer.limits, self._settings),
            since_s=ready.since_s,
            has_moved=ready.account.has_checkpoint,
        )
        if answer.reason is None:
            self._ledger.add(Ending(claim, result=ready.result(answer)))
            return
        self.has_failed |= decision is None or decision.state == "failed"
        self._ledger.add(Ending(claim, answer.reason, answer.message, decision=decision))

    def _look(self) -> None:
        """Ask those to stop that should, and end those by force that do not."""
        now = time.monotonic()
        late: list[tuple[Flight, Answer]] = []
        for flight in self._flights.values():
            if self._beat.stopped() or broker.stopping():
                flight.stop(now, is_handed_back=not self._beat.stopped())
            answer = flight.look(now, self._settings.service_grace_s)
            if answer is not None:
                late.append((flight, answer))
        for flight, _ in late:
            flight.flying.abandon()
        self._close(late, by_force=True)

    # --- rows ---------------------------------------------------------------------------------

    def _tell(self) -> None:
        now = time.monotonic()
        flights = list(self._flights.values())
        if now - self._written_at >= WRITE_EVERY_S:
            self._written_at = now
            self._write([flight.ready.account for flight in flights])
        if now - self._renewed_at >= self._settings.lease_s / 3:
            self._renewed_at = now
            claims = [each.ready.claim for each in flights if _limited(each.ready.offer)]
            self._try(lambda: slots.renew(claims, lease_s=self._settings.lease_s))

    def _write(self, some: list[Account]) -> None:
        self._try(lambda: accounts.write(some))

    def _write_last(self, some: list[Account]) -> None:
        """Write what is said last, with some patience: a checkpoint may be among it."""
        patience = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
            stop=tenacity.stop_after_delay(self._settings.lease_s / 4),
            reraise=True,
        )
        self._try(lambda: patience(accounts.write, some))

    def _release(self, flights: list[Flight]) -> None:
        claims = [each.ready.claim for each in flights if _limited(each.ready.offer)]
        self._try(lambda: slots.release(claims))
        for offer in {each.ready.offer.label: each.ready.offer for each in flights}.values():
            self._look_for_room_at.pop(offer.label, None)
            if not any(ready.offer is offer for ready in self._waiting):
                self._wake(offer)

    def _wake(self, offer: Offer) -> None:
        def wake() -> None:
            for kind in slots.wake(offer):
                dispatch(kind, self._context)

        if _limited(offer):
            self._try(wake)

    def _pause(self, offer: Offer, seconds: float) -> None:
        self._try(lambda: slots.pause(offer, min(seconds, verdicts.MOST_PAUSE_S)))

    def _try(self, act: Callable[[], None]) -> None:
        """Write what no task hangs on; while the database is away it is not written."""
        try:
            act()
        except DatabaseUnavailable as error:
            log.warning("What calls told is not written", extra={"error": error.message})


def _limited(offer: Offer) -> bool:
    return offer.limits.concurrency is not None
