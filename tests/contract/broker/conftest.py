"""A broker of either sort, and the ways to look behind it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import xq_name
from pika.exceptions import NackError, UnroutableError

from pipeline import broker
from pipeline.settings import Settings
from tests.support.servers import Rabbit, drop_broken_connections
from tests.support.waiting import eventually

TIMEOUT_S = 2.0


@dataclass
class Seam:
    """A broker under test, and the ways to look behind it."""

    broker: dramatiq.Broker
    publish_raw: Callable[[str, bytes], None]
    dead_letters: Callable[[str], int]
    received: list[tuple[Any, ...]] = field(default_factory=list)

    def actor(self, **told: Any) -> None:
        """Declare the actor ``note`` on the queue ``contract``; it notes its arguments."""

        def note(*args: Any) -> None:
            self.received.append(args)

        told = {"queue_name": "contract", **told}
        dramatiq.actor(actor_name="note", broker=self.broker, **told)(note)

    @contextmanager
    def working(self, threads: int = 2) -> Iterator[None]:
        """Work on the queues inside the block."""
        worker = dramatiq.Worker(self.broker, worker_threads=threads, worker_timeout=100)
        worker.start()
        try:
            yield
        finally:
            worker.stop(timeout=10_000)


def settings_of(url: str, folder: Path, **told: Any) -> Settings:
    told = {"broker_timeout_s": TIMEOUT_S, **told}
    return Settings(state_dir=folder, broker_url=url, **told)


@pytest.fixture
def use() -> Iterator[Callable[[Settings], dramatiq.Broker]]:
    """Make a broker of settings this process's own until the test ends."""

    def make(settings: Settings) -> dramatiq.Broker:
        broker.use_broker(broker.make_broker(settings))
        return broker.current_broker()

    yield make
    broker.current_broker().close()
    broker.use_broker(None)
    drop_broken_connections()


@pytest.fixture(params=["stub", "rabbitmq"])
def seam(request: pytest.FixtureRequest, tmp_path: Path, use: Any) -> Seam:
    """Each broker in turn, empty."""
    if request.param == "stub":
        return stub_seam(use(settings_of("memory://", tmp_path)))
    node: Rabbit = request.getfixturevalue("rabbit_node")
    return rabbit_seam(use(settings_of(request.getfixturevalue("vhost"), tmp_path)), node)


def stub_seam(made: StubBroker) -> Seam:
    return Seam(
        made,
        lambda queue, body: made.queues[queue].put(body),
        lambda queue: len(made.dead_letters_by_queue[queue]),
    )


def rabbit_seam(made: dramatiq.Broker, node: Rabbit) -> Seam:
    def publish(queue: str, body: bytes) -> None:
        # A worker that boots beside us has not made its queue yet, or it has no leader yet.
        eventually(lambda: taken(queue, body), within_s=10, what="the message is taken")

    def taken(queue: str, body: bytes) -> bool:
        with node.channel() as channel:
            channel.confirm_delivery()
            try:
                channel.basic_publish("", queue, body, mandatory=True)
            except (NackError, UnroutableError):
                return False
        return True

    def dead(queue: str) -> int:
        return count(node, xq_name(queue))

    return Seam(made, publish, dead)


def count(node: Rabbit, queue: str) -> int:
    """Return how many messages are ready in a queue that exists."""
    with node.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)
