"""Sends hints to the exchange from a thread of its own, many in one message."""

import logging
import os
import threading
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pika

from pipeline import jsontext
from pipeline.events.exchange import EXCHANGE, ROUTING_KEY, declare
from pipeline.rabbit import AWAY

log = logging.getLogger(__name__)

#: Between two messages, in seconds: what changes meanwhile goes with the next one. The longer one
#: as long as nobody listens, which is found out by messages that come back.
GAP_S, GAP_UNHEARD_S = 0.05, 1.0
#: Ids that wait; of more the newest are dropped, and found by the next look at the rows.
MOST_WAITING = 10_000
#: Ids of one message, some 36 bytes each.
MOST_IN_MESSAGE = 1000
#: A connection that is not used says so often that it lives.
ALIVE_S = 5.0
#: After a failure, in seconds; what is to be told meanwhile is dropped.
PAUSE_S = 2.0

#: Lost with the broker: nobody looks at old ones.
_TRANSIENT = pika.BasicProperties(content_type="application/json", delivery_mode=1)


class Publisher:
    """The hints of one process; whoever tells one waits for nothing."""

    def __init__(self, parameters: Any) -> None:
        self._parameters = parameters
        self._lock = threading.Lock()
        self._waiting: set[uuid.UUID] = set()
        self._is_told = threading.Event()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._channel: Any = None
        self._is_heard = True

    def tell(self, job_ids: Iterable[uuid.UUID]) -> None:
        """Leave the ids; the thread sends them."""
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.update(job_ids)
            # A forked process has the object, but not its thread.
            if self._thread is None or self._pid != os.getpid():
                self._begin()
        self._is_told.set()

    def _begin(self) -> None:
        self._pid, self._channel = os.getpid(), None
        self._is_told, self._is_closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def close(self, patience_s: float) -> None:
        """Let the thread end after what it has to send; it is not waited for long."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            self._is_closing.set()
            self._is_told.set()
            thread.join(patience_s)

    def _run(self) -> None:
        is_told, is_closing = self._is_told, self._is_closing
        while not (is_closing.is_set() and not self._waiting):
            try:
                if is_told.wait(ALIVE_S):
                    is_told.clear()
                    self._send()
                    is_closing.wait(GAP_S if self._is_heard else GAP_UNHEARD_S)
                elif self._channel is not None:
                    self._channel.connection.process_data_events(0)
            except AWAY as error:
                log.debug("Nobody is told what changed", extra={"error": str(error)})
                self._leave()
                if is_closing.wait(PAUSE_S):
                    break
                with self._lock:
                    self._waiting.clear()
            except Exception:
                # Whatever it is: the work goes on, and so does the next hint.
                log.exception("A hint could not be sent")
                self._leave()
                if is_closing.wait(PAUSE_S):
                    break
        self._leave()

    def _send(self) -> None:
        with self._lock:
            told, self._waiting = [each.hex for each in self._waiting], set()
        if told and self._channel is None:
            self._channel = declare(pika.BlockingConnection(self._parameters))
            self._channel.add_on_return_callback(self._comes_back)
        if not told:
            return
        # What came back of the last ones tells that nobody listens; nothing, that somebody does.
        self._is_heard = True
        self._channel.connection.process_data_events(0)
        for at in range(0, len(told), MOST_IN_MESSAGE):
            body = jsontext.encoded(told[at : at + MOST_IN_MESSAGE])
            self._channel.basic_publish(EXCHANGE, ROUTING_KEY, body, _TRANSIENT, mandatory=True)

    def _comes_back(self, *_: Any) -> None:
        self._is_heard = False

    def _leave(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(*AWAY):
                channel.connection.close()
