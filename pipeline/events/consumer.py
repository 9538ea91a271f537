"""Hears the hints of every process by a queue of its own, which goes with its connection."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import orjson
import pika

from pipeline.events.exchange import EXCHANGE, declare
from pipeline.rabbit import AWAY

log = logging.getLogger(__name__)

#: How soon it ends when it is asked to, in seconds.
LOOK_S = 0.5
#: After a failure, in seconds.
PAUSE_S = 1.0
#: What nobody takes is worth nothing after so long, nor are so many.
_QUEUE = {"x-message-ttl": 10_000, "x-max-length": 1000, "x-overflow": "drop-head"}


class Consumer:
    """A thread that hands on every hint, and comes back after the broker was away."""

    def __init__(self, parameters: Any, hear: Callable[[Iterable[uuid.UUID]], None]) -> None:
        self._parameters = parameters
        self._hear = hear
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hear events", daemon=True)

    def start(self) -> None:
        """Begin; what is told before the queue is there is not heard."""
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing any more; the thread ends within a moment."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except AWAY as error:
                log.info("Nobody tells what changes", extra={"error": str(error)})
            except Exception:
                log.exception("Hints cannot be heard")
            self._ended.wait(PAUSE_S)

    def _listen(self) -> None:
        connection = pika.BlockingConnection(self._parameters)
        try:
            channel = declare(connection)
            queue = channel.queue_declare(
                "", exclusive=True, auto_delete=True, arguments=_QUEUE
            ).method.queue
            channel.queue_bind(queue, EXCHANGE, "#")
            channel.basic_consume(queue, self._take, auto_ack=True)
            while not self._ended.is_set():
                connection.process_data_events(LOOK_S)
        finally:
            with suppress(*AWAY):
                connection.close()

    def _take(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        try:
            told = [uuid.UUID(each) for each in orjson.loads(body)]
        except (ValueError, TypeError, AttributeError):
            log.warning("A hint is none of ours", extra={"bytes": len(body)})
            return
        self._hear(told)
