"""The broker: queues, middleware and sending, in one place.

Messages are hints: ids in JSON, sent after commit, lost or doubled without harm. So Dramatiq's
retries are off (rows own them), a send waits at most ``broker_timeout_s`` and its failure is an
answer (``False``), not an error: the sweep sends the hint again.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name
from dramatiq.errors import BrokerError
from dramatiq.middleware import Middleware, TimeLimit
from pika.exceptions import AMQPError

from pipeline.settings import Settings, get_settings

log = logging.getLogger(__name__)

#: Queues whose messages keep a core busy: one at a time per worker process.
CPU_HEAVY = frozenset({"sql_analysis"})

MINUTE_MS = 60_000


class QuaylineRabbit(RabbitmqBroker):
    """RabbitMQ with the queue type of the settings and prefetch 1 on CPU-heavy queues."""

    def __init__(self, *, queue_type: str, **options: Any) -> None:
        super().__init__(**options)
        self.queue_type = queue_type

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
    return QuaylineRabbit(
        url=f"{settings.broker_url}{separator}blocked_connection_timeout={timeout_s}"
        f"&socket_timeout={timeout_s}&stack_timeout={timeout_s * 2}&connection_attempts=1",
        confirm_delivery=True,
        queue_type=settings.queue_type,
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
    """Publish the messages as one group; ``False`` when the broker did not take them all."""
    if not messages:
        return True
    broker = current_broker()
    for queue in {each.queue_name for each in messages}:
        broker.declare_queue(queue)
    try:
        dramatiq.group(messages, broker=broker).run()
    except (BrokerError, OSError, AMQPError) as error:
        log.warning("The broker took no hint; the sweep will send it", extra={"error": str(error)})
        return False
    return True


def waiting(queue: str) -> int | None:
    """Return how many messages wait in the queue, None when the broker does not answer."""
    broker = current_broker()
    broker.declare_queue(queue)
    try:
        if isinstance(broker, StubBroker):
            return broker.queues[queue].qsize()
        assert isinstance(broker, RabbitmqBroker)
        return int(broker.get_queue_message_counts(queue)[0])
    except (BrokerError, OSError, AMQPError) as error:
        log.warning("The broker does not answer", extra={"error": str(error)})
        return None
