"""The broker: queues, middleware and sending, in one place.

Messages are hints: ids in JSON, sent after commit, lost or doubled without harm. So Dramatiq's
retries are off (rows own them), a send waits at most ``broker_timeout_s`` and its failure is an
answer (``False``), not an error: the sweep sends the hint again.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name
from dramatiq.errors import BrokerError, ConnectionClosed
from dramatiq.middleware import Middleware, TimeLimit
from pika.exceptions import AMQPError

from pipeline.settings import Settings, get_settings

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Queues whose messages keep a core busy: one at a time per worker process.
CPU_HEAVY = frozenset({"sql_analysis"})

MINUTE_MS = 60_000


#: What a broker that is away, refuses us or hangs raises.
AWAY = (BrokerError, AMQPError, OSError)


class Courier:
    """One thread that talks to the broker for all others, so that nobody waits longer than told.

    pika has no time limit for a confirm: before a broker that hangs, a send ends with the
    connection's heartbeat, minutes later. And a connection belongs to the thread that opened it,
    so senders that come and go would leave theirs behind.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._errands: queue.SimpleQueue[Callable[[], bool]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, act: Callable[[], T]) -> T:
        """Return what ``act`` returns in the courier's thread; ``TimeoutError`` when it takes long.

        An act that nobody waits for any more is not begun.
        """
        done, given_up = threading.Event(), threading.Event()
        answers: list[T] = []
        errors: list[Exception] = []

        def errand() -> bool:
            if not given_up.is_set():
                try:
                    answers.append(act())
                except Exception as error:
                    errors.append(error)
                done.set()
            return True

        self._give(errand)
        if not done.wait(self._timeout_s):
            given_up.set()
            raise TimeoutError(f"The broker did not answer within {self._timeout_s} s.")
        if errors:
            raise errors[0]
        return answers[0]

    def stop(self) -> None:
        """Let the thread end once it has done what it was given."""
        with self._lock:
            if self._thread is not None:
                self._errands.put(lambda: False)
                self._thread = None

    def _give(self, errand: Callable[[], bool]) -> None:
        with self._lock:
            # A forked process has the object, but not its thread.
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._errands = queue.SimpleQueue()
                self._thread = threading.Thread(
                    target=self._work, args=(self._errands,), name="courier", daemon=True
                )
                self._thread.start()
            self._errands.put(errand)

    @staticmethod
    def _work(errands: "queue.SimpleQueue[Callable[[], bool]]") -> None:
        while errands.get()():
            pass


class QuaylineRabbit(RabbitmqBroker):
    """RabbitMQ with the queue type of the settings and prefetch 1 on CPU-heavy queues."""

    def __init__(self, *, queue_type: str, timeout_s: float, **options: Any) -> None:
        super().__init__(**options)
        self.queue_type = queue_type
        self.courier = Courier(timeout_s)

    def _connect(self) -> Any:
        """A broker that cannot be reached is given up at once: Dramatiq would knock six times."""
        try:
            return RabbitmqBroker.connection.fget(self)
        except AMQPError as error:
            raise ConnectionClosed(error) from error

    connection = RabbitmqBroker.connection.getter(_connect)

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

    def close(self) -> None:
        """Close the connections; a broker that hangs does not hold the caller up."""
        with suppress(*AWAY):
            self.courier.run(super().close)
        self.courier.stop()

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)
        if self.queue_type == "quorum":
            arguments["x-queue-type"] = "quorum"
        return arguments

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        """Return a consumer; Dramatiq's delay queues stay unused and get a small prefetch."""
        if queue_name in CPU_HEAVY:
            prefetch = 1
        elif queue_name == dq_name(queue_name):
            prefetch = min(prefetch, 8)
        return super().consume(queue_name, prefetch, timeout)


class Stopping(Middleware):
    """Tells running work that its worker was asked to stop: finish the step, give back the rest."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Note it."""
        _stopping.set()

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Begin anew."""
        _stopping.clear()


_stopping = threading.Event()


def stopping() -> bool:
    """Tell whether this process's worker was asked to stop."""
    return _stopping.is_set()


def middleware() -> list[Middleware]:
    """Return the middleware of every broker of ours: a limit, a gentle stop, no retries."""
    return [TimeLimit(), Stopping()]


def make_broker(settings: Settings) -> dramatiq.Broker:
    """Return the broker that the settings name; nothing is connected yet."""
    if settings.embedded:
        return StubBroker(middleware=middleware())
    timeout_s = settings.broker_timeout_s
    separator = "&" if "?" in settings.broker_url else "?"
    # pika tells every refused connection in ten lines and a traceback; ours tells it in one.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    return QuaylineRabbit(
        url=f"{settings.broker_url}{separator}blocked_connection_timeout={timeout_s}"
        f"&socket_timeout={timeout_s}&stack_timeout={timeout_s * 2}&connection_attempts=1",
        confirm_delivery=True,
        queue_type=settings.queue_type,
        timeout_s=timeout_s,
        middleware=middleware(),
    )


_broker: dramatiq.Broker | None = None


def current_broker() -> dramatiq.Broker:
    """Return the broker of this process, made from its settings at the first call."""
    global _broker
    if _broker is None:
        _broker = make_broker(get_settings())
        dramatiq.set_broker(_broker)
    return _broker


def use_broker(broker: dramatiq.Broker | None) -> None:
    """Make ``broker`` this process's own; ``None`` forgets it."""
    global _broker
    _broker = broker
    if broker is not None:
        dramatiq.set_broker(broker)


def message(queue: str, actor: str, *args: Any) -> dramatiq.Message[Any]:
    """Return a message to an actor by name, so that a sender needs none of its code."""
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options={})


def send(messages: Sequence[dramatiq.Message[Any]]) -> bool:
    """Publish the messages as one group; ``False`` when the broker did not take them all in time."""
    if not messages:
        return True
    broker = current_broker()
    for name in {each.queue_name for each in messages}:
        broker.declare_queue(name)
    try:
        _run(broker, dramatiq.group(messages, broker=broker).run)
    except AWAY as error:
        log.warning("The broker took no hint; the sweep will send it", extra={"error": str(error)})
        return False
    return True


def waiting(queue_name: str) -> int | None:
    """Return how many messages wait in the queue, None when the broker does not answer."""
    broker = current_broker()
    broker.declare_queue(queue_name)
    try:
        if isinstance(broker, StubBroker):
            return broker.queues[queue_name].qsize()
        assert isinstance(broker, QuaylineRabbit)
        return _run(broker, lambda: broker.count(queue_name))
    except AWAY as error:
        log.warning("The broker does not answer", extra={"error": str(error)})
        return None


def _run(broker: dramatiq.Broker, act: Callable[[], T]) -> T:
    return broker.courier.run(act) if isinstance(broker, QuaylineRabbit) else act()
