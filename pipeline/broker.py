"""The broker: queues, middleware and sending, in one place.

Messages are hints: ids in JSON, sent after commit, lost or doubled without harm. So Dramatiq's
retries are off (rows own them), a send waits at most ``broker_timeout_s`` and its failure is an
answer (``False``), not an error: the sweep sends the hint again.
"""

import gc
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, TimeLimit

from pipeline import logs, metrics, tracing
from pipeline.messages import FORM, defect, facts
from pipeline.rabbit import AWAY, QuaylineRabbit
from pipeline.settings import Settings, get_settings

log = logging.getLogger(__name__)

T = TypeVar("T")

MINUTE_MS = 60_000


class Gatekeeper(Middleware):
    """Sets aside what no actor takes, and tells running work when its worker is to stop."""

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """A process of the ``dramatiq`` command logs in our form, Dramatiq's lines too."""
        settings = get_settings()
        logs.configure(settings.log_level, settings.log_format)
        tracing.begin(settings.tracing_url, settings.worker_name)
        _settle_memory()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Note it."""
        _stopping.set()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Its threads have ended; what this process does next is not stopped by it."""
        _stopping.clear()
        # Dramatiq ends its processes without what Python does at an exit.
        tracing.flush()

    def before_process_message(
        self, broker: dramatiq.Broker, message: dramatiq.MessageProxy
    ) -> None:
        """Dead-letter a message with a defect; the consumers of RabbitMQ have done so before.

        Whatever is logged until the message is done says which one, and whose.
        """
        if not isinstance(broker, QuaylineRabbit):
            wrong = defect(message, message.queue_name, broker.actors)
            if wrong:
                log.error("A message is set aside", extra=facts(message, wrong, broker.actors))
                # Dramatiq calls no actor with it, and has nothing to add to the line above.
                message.fail()
                return
        sent_at = message.message_timestamp / 1000
        metrics.QUEUE_WAIT_SECONDS.observe(max(0.0, time.time() - sent_at), message.queue_name)
        tracing.begin_actor(message.actor_name, message.options, sent_at)
        first = message.args[0] if message.args else None
        job_id = {"job_id": first} if isinstance(first, str) else {}
        logs.begin(**job_id, actor=message.actor_name, message_id=message.message_id)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: dramatiq.MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """The message is done."""
        tracing.end_actor(exception)
        logs.begin()

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Begin anew."""
        _stopping.clear()


#: Objects more before the collector looks at the youngest; and how many such looks before it looks
#: at older ones. Rows and messages are many and soon gone, and hardly any are in circles.
GC_THRESHOLDS = (20_000, 20, 20)


def _settle_memory() -> None:
    """What is loaded now stays, and the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


#: Of the process, not of a broker: a worker takes messages on the broker that its actors were
#: declared on, and sends on the one of its context.
_stopping = threading.Event()


def stopping() -> bool:
    """Tell whether this process's worker was asked to stop."""
    return _stopping.is_set()


def middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware of every broker of ours: a limit, a gentle stop, no retries."""
    kept: list[Middleware] = [TimeLimit(), Gatekeeper()]
    if settings.worker_metrics_port and not settings.embedded:
        from pipeline.exposition import FleetFigures

        kept.append(FleetFigures())
    return kept


def make_broker(settings: Settings) -> dramatiq.Broker:
    """Return the broker that the settings name; nothing is connected yet."""
    if settings.embedded:
        return StubBroker(middleware=middleware(settings))
    timeout_s = settings.broker_timeout_s
    # pika tells every refused connection in ten lines and a traceback; ours tells it in one.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    return QuaylineRabbit(
        url=_patient(settings.broker_url, timeout_s),
        confirm_delivery=True,
        queue_type=settings.queue_type,
        timeout_s=timeout_s,
        middleware=middleware(settings),
    )


def _patient(url: str, timeout_s: float) -> str:
    """Return the URL with our limits for each that it does not set itself."""
    url, _, _ = url.partition("#")
    before, _, query = url.partition("?")
    limits = {
        "blocked_connection_timeout": timeout_s,
        "socket_timeout": timeout_s,
        "stack_timeout": timeout_s * 2,
        "connection_attempts": 1,
    }
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    ours = urlencode({name: told for name, told in limits.items() if name not in named})
    return f"{before}?{'&'.join(filter(None, (query, ours)))}"


_broker: dramatiq.Broker | None = None


def current_broker() -> dramatiq.Broker:
    """Return the broker of this process, made from its settings at the first call."""
    global _broker
    if _broker is None:
        _broker = make_broker(get_settings())
        dramatiq.set_broker(_broker)
    return _broker


def opened() -> dramatiq.Broker | None:
    """Return the broker of this process if it has one already."""
    return _broker


def use_broker(broker: dramatiq.Broker | None) -> None:
    """Make ``broker`` this process's own; ``None`` forgets it."""
    global _broker
    _broker = broker
    if broker is not None:
        dramatiq.set_broker(broker)


def take_over(actor: dramatiq.Actor[Any, Any]) -> None:
    """Let an actor that was declared on an earlier broker of this process work on this one."""
    broker = current_broker()
    if actor.broker is not broker:
        actor.broker = broker
        broker.declare_actor(actor)


def message(
    queue: str, actor: str, *args: Any, job_id: uuid.UUID | None = None
) -> dramatiq.Message[Any]:
    """Return a message to an actor by name, so that a sender needs none of its code.

    It belongs to the trace of the job, where one is named, or to that of the work around.
    """
    options = {"form": FORM, **tracing.message(actor, queue, job_id)}
    return dramatiq.Message(
        queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options
    )


def send(messages: Sequence[dramatiq.Message[Any]]) -> bool:
    """Publish the messages as one group; ``False`` when the broker did not take all in time."""
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


def send_soon(messages: Sequence[dramatiq.Message[Any]], lost: Callable[[], object]) -> None:
    """Publish the messages without waiting; ``lost`` is called when the broker did not take all.

    On a broker in another process a confirm takes as long as the disk does, or the other work of
    this machine.
    """
    broker = current_broker()

    def deliver() -> None:
        if not send(messages):
            lost()

    if isinstance(broker, QuaylineRabbit):
        broker.courier.leave(deliver)
    else:
        deliver()


@contextmanager
def dead_letters(queue_name: str, limit: int) -> Iterator[list[bytes]]:
    """Yield the bodies of up to ``limit`` dead messages of the queue; afterwards they are gone.

    They stay where they are when the block raises, or when the broker does not answer (no bodies).
    """
    broker = current_broker()
    broker.declare_queue(queue_name)
    if isinstance(broker, StubBroker):
        held = broker.dead_letters_by_queue[queue_name][:limit]
        yield [each.encode() for each in held]
        del broker.dead_letters_by_queue[queue_name][: len(held)]
        return
    assert isinstance(broker, QuaylineRabbit)
    try:
        tags, bodies = broker.courier.run(
            lambda: broker.get_dead(queue_name, limit),
            undo=lambda late: broker.settle_dead(late[0], gone=False),
        )
    except AWAY as error:
        log.warning("The broker does not answer", extra={"error": str(error)})
        yield []
        return
    gone = False
    try:
        yield bodies
        gone = True
    finally:
        with suppress(*AWAY):
            broker.courier.run(lambda: broker.settle_dead(tags, gone=gone))


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
