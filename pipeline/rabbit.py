"""RabbitMQ as we use it: bounded waits, the queue type of the settings, dead letters at hand.

Queues and consumers that RabbitMQ left broken are made anew: messages are hints, so a remedy may
throw some away, and the sweep sends them again.
"""

import logging
import time
from contextlib import closing, suppress
from functools import partial
from typing import Any

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.common import q_name, xq_name
from dramatiq.errors import BrokerError, ConnectionClosed, DecodeError
from dramatiq.worker import WORKER_TIMEOUT
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError

from pipeline.courier import Courier
from pipeline.messages import Actors, defect, facts
from pipeline.signatures import MOST_TOLD

log = logging.getLogger(__name__)

#: Queues whose messages keep a core busy: one at a time per worker process.
CPU_HEAVY = frozenset({"sql_analysis"})

#: What a broker that is away, refuses us or hangs raises.
AWAY = (BrokerError, AMQPError, OSError)

_CONNECTION: Any = vars(RabbitmqBroker)["connection"]
_CHANNEL: Any = vars(RabbitmqBroker)["channel"]

#: Pause of an idle consumer between two looks at whether its worker stops.
IDLE_MS = 2000

#: A healthy queue says within this time, in seconds, that it does not take a message.
LONG_S = 10.0

#: Dead messages are fetched until so many bytes are in hand, or so much of a caller's time is gone.
DEAD_BYTES = 16 * 1024 * 1024
DEAD_PART = 0.5


class NotTaken(BrokerError):
    """RabbitMQ says, long after, that it did not take a message."""


def _publish(publish: Any, **told: Any) -> None:
    """Offer a message. When the answer no was long in coming, that is told at once: Dramatiq would
    offer it five times more, each time on a new channel, and wait as long for each answer."""
    began_at = time.monotonic()
    try:
        publish(**told)
    except NackError as error:
        if time.monotonic() - began_at < LONG_S:
            raise
        raise NotTaken(error) from error


def _without_body(record: logging.LogRecord) -> bool:
    """Let the line about a message that nobody can decode pass without its traceback: that shows
    the whole message, twice."""
    if record.exc_info and isinstance(record.exc_info[1], DecodeError):
        record.exc_info = None
    return True


class QuaylineConsumer(_RabbitmqConsumer):
    """A consumer that lets pass only messages of our form, with arguments that their actors take,
    and notices when RabbitMQ has forgotten it.

    When a quorum queue is deleted and declared again at once, its consumers are not always told:
    they stand for ever on the queue that was. The signs, at two looks in a row: the queue knows of
    no consumer, or messages wait there while we hold none and hear nothing.
    """

    #: Pause between two looks, in seconds.
    look_every_s = 10.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._looked_at = time.monotonic()
        self._is_suspect = False
        self.logger.addFilter(_without_body)

    def __next__(self) -> Any:
        """Return the next message, None when there was none for a while."""
        message = super().__next__()
        if message is not None and (said := self._fault(message)):
            log.error("A message is set aside", extra={**said, "queue": self.queue_name})
            self.nack(message)
            return None
        if message is not None or self.known_tags:
            self._is_suspect = False
        elif time.monotonic() - self._looked_at >= self.look_every_s:
            self._looked_at = time.monotonic()
            was_suspect, self._is_suspect = self._is_suspect, self._looks_forgotten()
            if was_suspect and self._is_suspect:
                raise ConnectionClosed(f"The consumer of {self.queue_name} hears nothing any more.")
        return message

    def _fault(self, message: Any) -> dict[str, str]:
        """Return what is to be said of a message that no actor takes, nothing of another."""
        actors: Actors = self.broker.actors
        if wrong := defect(message, self.queue_name, actors):
            return facts(message, wrong, actors)
        if message.actor_name not in actors:
            # Dramatiq would set it aside, too, and show a traceback.
            return {"why": "unknown_actor", "actor": message.actor_name[:MOST_TOLD]}
        return {}

    def _looks_forgotten(self) -> bool:
        try:
            told = self.channel.queue_declare(self.queue_name, passive=True).method
        except AMQPError as error:
            if getattr(error, "reply_code", None) == 404:
                self.broker.queues_pending.add(q_name(self.queue_name))
            raise ConnectionClosed(error) from error
        return bool(told.consumer_count == 0 or told.message_count)


class QuaylineRabbit(RabbitmqBroker):
    """RabbitMQ with the queue type of the settings and prefetch 1 on CPU-heavy queues."""

    def __init__(self, *, queue_type: str, timeout_s: float, **options: Any) -> None:
        super().__init__(**options)
        self.queue_type = queue_type
        self.courier = Courier(timeout_s)
        self._dead_s = timeout_s * DEAD_PART

    def _connect(self) -> Any:
        """A broker that cannot be reached is given up at once: Dramatiq would knock six times."""
        try:
            return _CONNECTION.fget(self)
        except AMQPError as error:
            raise ConnectionClosed(error) from error

    connection = _CONNECTION.getter(_connect)

    def get_declared_delay_queues(self) -> set[str]:
        """There is none: rows say when work is due, and a queue for what waits would cost each
        worker process a connection and a thread more for every queue."""
        return set()

    def emit_after(self, signal: str, *told: Any, **named: Any) -> None:
        """Tell the middleware; no worker hears of a delay queue."""
        if signal != "declare_delay_queue":
            super().emit_after(signal, *told, **named)

    def _declare_dq_queue(self, queue_name: str) -> None:
        pass

    @property
    def consumer_class(self) -> type[_RabbitmqConsumer]:
        """The class of the consumers."""
        return QuaylineConsumer

    def _offering(self) -> Any:
        """The channel on which messages are offered by ``_publish``."""
        channel = _CHANNEL.fget(self)
        if "basic_publish" not in vars(channel):
            channel.basic_publish = partial(_publish, channel.basic_publish)
        return channel

    channel = _CHANNEL.getter(_offering)

    def enqueue(
        self, message: dramatiq.Message[Any], *, delay: int | None = None
    ) -> dramatiq.Message[Any]:
        """Send a message; a queue that takes none any more is made anew."""
        if delay is not None:
            raise ValueError("A message is not delayed: a row says when its work is due.")
        try:
            return super().enqueue(message)
        except (NotTaken, ConnectionClosed) as error:
            del self.connection
            if not isinstance(error.message, NackError) or not self.remake(message.queue_name):
                raise
        return super().enqueue(message)

    def remake(self, queue_name: str) -> bool:
        """Delete a queue that is broken, so that its next use makes it anew; False when messages
        wait in it.

        A quorum queue that was made within the seconds before its node was killed is there, empty
        and "down", and stays so. Whoever sends to it is told at once, or after 65 s (RabbitMQ 3.10:
        ``net_ticktime`` and 5 s). Consumers leave it alone: one that comes while a queue is being
        made is refused, too, and whoever deletes it then leaves RabbitMQ unable to make it again.
        """
        with closing(pika.BlockingConnection(self.parameters)) as connection:
            channel = connection.channel()
            with suppress(ChannelClosedByBroker):  # it is gone already
                if channel.queue_declare(queue_name, passive=True).method.message_count:
                    return False
                log.warning("A broken queue is made anew", extra={"queue": queue_name})
                channel.queue_delete(queue_name)
        self.queues_pending.add(q_name(queue_name))
        return True

    def count(self, queue_name: str) -> int:
        """Return how many messages wait in the queue, which is made when it is not there."""
        for is_last in (False, True):
            try:
                return int(self._declare_queue(queue_name).method.message_count)
            except AMQPError:
                # A connection that was lost since its last use; the next one is new.
                del self.connection
                if is_last:
                    raise
        raise AssertionError("unreachable")

    def get_dead(self, queue_name: str, limit: int) -> tuple[list[int], list[bytes]]:
        """Return delivery tags and bodies of dead messages, still unacknowledged."""
        self._make_dead_queue(queue_name)
        until, size = time.monotonic() + self._dead_s, 0
        tags: list[int] = []
        bodies: list[bytes] = []
        while len(bodies) < limit and size < DEAD_BYTES and time.monotonic() < until:
            method, _, body = self.channel.basic_get(xq_name(queue_name))
            if method is None:
                break
            tags.append(method.delivery_tag)
            bodies.append(body)
            size += len(body)
        return tags, bodies

    def _make_dead_queue(self, queue_name: str) -> None:
        """Make the queue of dead messages where it was deleted: they would be dropped unseen."""
        try:
            self._declare_xq_queue(queue_name)
        except AMQPError:
            # A connection that was lost since its last use; the next one is new.
            del self.connection
            self._declare_xq_queue(queue_name)

    def settle_dead(self, tags: list[int], *, gone: bool) -> None:
        """Acknowledge what ``get_dead`` gave out, or put it back."""
        if tags and gone:
            self.channel.basic_ack(tags[-1], multiple=True)
        elif tags:
            self.channel.basic_nack(tags[-1], multiple=True, requeue=True)

    def close(self) -> None:
        """Close the connections; those to a broker that hangs are closed when it answers."""
        self.courier.stop(self._close)

    def _close(self) -> None:
        with suppress(*AWAY):
            super().close()

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)
        if self.queue_type == "quorum":
            arguments["x-queue-type"] = "quorum"
        return arguments

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        """Return a consumer. An idle one wakes every two seconds, not every second as Dramatiq asks
        for by itself: an idle worker does little else."""
        if queue_name in CPU_HEAVY:
            prefetch = 1
        return super().consume(
            queue_name, prefetch, IDLE_MS if timeout == WORKER_TIMEOUT else timeout
        )
