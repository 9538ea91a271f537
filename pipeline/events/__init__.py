"""Which jobs have changed, told after the commit to whoever watches them.

A hint is ids of jobs, nothing else: who watches reads the rows. With RabbitMQ it goes through the
topic exchange ``quayline.events`` to every process that listens; embedded it stays in this process.
Nobody waits for it, and one that is lost is made good by the next look at the rows.
"""

import threading
import time
import uuid
from collections.abc import Iterable
from typing import Self
from weakref import WeakKeyDictionary

from pipeline import broker
from pipeline.events.consumer import Consumer
from pipeline.events.publisher import Publisher
from pipeline.rabbit import QuaylineRabbit


class Listener:
    """Hears which jobs have changed, between its ``with`` and the end of that."""

    def __init__(self) -> None:
        self._heard: set[uuid.UUID] = set()
        self._lock = threading.Lock()
        self._is_told = threading.Event()

    def wait(self, timeout_s: float) -> set[uuid.UUID]:
        """Return the jobs that have changed, as soon as one has, or nothing after the time."""
        self._is_told.wait(timeout_s)
        with self._lock:
            self._is_told.clear()
            heard, self._heard = self._heard, set()
        return heard

    def tell(self, job_ids: Iterable[uuid.UUID] = ()) -> None:
        """Let it hear of these jobs; of none, it wakes all the same."""
        with self._lock:
            self._heard.update(job_ids)
            self._is_told.set()

    def __enter__(self) -> Self:
        """Begin to hear."""
        with _lock:
            _listeners.add(self)
            _listen()
        return self

    def __exit__(self, *error: object) -> None:
        """Hear nothing any more."""
        with _lock:
            _listeners.discard(self)
            if not _listeners:
                _stop_listening()


def changed(job_ids: Iterable[uuid.UUID]) -> None:
    """Tell that these jobs have changed; waits for nobody and never fails."""
    current = broker.opened()
    if isinstance(current, QuaylineRabbit):
        _publisher(current).tell(job_ids)
    else:
        _tell_here(job_ids)


def close() -> None:
    """Tell what was not told yet, if that takes no time, and let the connections go."""
    with _lock:
        _stop_listening()
        publishers = [*_publishers.values()]
        _publishers.clear()
    until = time.monotonic() + CLOSE_S
    for publisher in publishers:
        publisher.close(max(0.0, until - time.monotonic()))


#: How long an end waits for hints that are on their way.
CLOSE_S = 0.2

_listeners: set[Listener] = set()
_publishers: "WeakKeyDictionary[QuaylineRabbit, Publisher]" = WeakKeyDictionary()
_consumer: Consumer | None = None
_lock = threading.RLock()


def _tell_here(job_ids: Iterable[uuid.UUID]) -> None:
    if _listeners:
        told = [*job_ids]
        with _lock:
            for listener in _listeners:
                listener.tell(told)


def _publisher(current: QuaylineRabbit) -> Publisher:
    found = _publishers.get(current)
    if found is None:
        with _lock:
            found = _publishers.setdefault(current, Publisher(current.parameters))
    return found


def _listen() -> None:
    global _consumer
    current = broker.opened()
    if _consumer is None and isinstance(current, QuaylineRabbit):
        _consumer = Consumer(current.parameters, _tell_here)
        _consumer.start()


def _stop_listening() -> None:
    global _consumer
    if _consumer is not None:
        _consumer.stop()
        _consumer = None
