"""What a bad network and stray producers do to the messages of a RabbitMQ node."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.servers import Rabbit

#: RabbitMQ's firehose: a copy of every message published, while tracing is on.
FIREHOSE = "amq.rabbitmq.trace"
MARK = "doubled"
#: The queues of the trivial kind and of the machine.
QUEUES = ("trivial_plan", "trivial_work", "monitoring")


@dataclass
class Count:
    """How many messages were touched."""

    number: int = 0


@contextmanager
def doubled_messages(node: Rabbit) -> Iterator[Count]:
    """Publish a copy of each message to its queue while the block runs."""
    node.control("trace_on")
    try:
        with _meanwhile(lambda counted, ended: _double(node, counted, ended)) as counted:
            yield counted
    finally:
        node.control("trace_off")


@contextmanager
def shuffled_messages(node: Rabbit) -> Iterator[Count]:
    """Take what waits and send it in another order, again and again, while the block runs."""
    chance = random.Random(5)
    with _meanwhile(lambda counted, ended: _shuffle(node, chance, counted, ended)) as counted:
        yield counted


def drop_messages(node: Rabbit) -> int:
    """Delete what waits; return how many messages that were."""
    with node.channel() as channel:
        return sum(channel.queue_purge(queue).method.message_count for queue in QUEUES)


def publish(node: Rabbit, messages: Sequence[tuple[str, bytes]]) -> None:
    """Put bytes into queues; all of them are there when this returns."""
    with node.channel() as channel:
        channel.confirm_delivery()
        for queue, body in messages:
            channel.basic_publish("", queue, body, mandatory=True)


def dead(node: Rabbit, queues: Sequence[str]) -> int:
    """Return how many dead messages still lie in RabbitMQ."""
    with node.channel() as channel:
        told = [channel.queue_declare(f"{queue}.XQ", passive=True).method for queue in queues]
    return sum(each.message_count for each in told)


@contextmanager
def _meanwhile(act: Callable[[Count, threading.Event], None]) -> Iterator[Count]:
    counted, ended = Count(), threading.Event()
    thread = threading.Thread(target=act, args=(counted, ended), name="network")
    thread.start()
    try:
        yield counted
    finally:
        ended.set()
        thread.join()


def _double(node: Rabbit, counted: Count, ended: threading.Event) -> None:
    with node.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, FIREHOSE, "publish.#")
        for method, properties, body in channel.consume(queue, inactivity_timeout=0.1):
            if ended.is_set():
                return
            if method is None or properties is None or body is None:
                continue
            headers = properties.headers or {}
            if (headers.get("properties") or {}).get("app_id") == MARK:
                continue
            for name in headers.get("routing_keys") or []:
                again = pika.BasicProperties(delivery_mode=2, app_id=MARK)
                channel.basic_publish("", name, body, again)
                counted.number += 1


def _shuffle(node: Rabbit, chance: random.Random, counted: Count, ended: threading.Event) -> None:
    with node.channel() as channel:
        channel.confirm_delivery()
        while not ended.wait(0.05):
            for queue in QUEUES:
                counted.number += _shuffle_once(channel, queue, chance)


def _shuffle_once(channel: BlockingChannel, queue: str, chance: random.Random) -> int:
    taken = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None or body is None:
            break
        taken.append(body)
    chance.shuffle(taken)
    for body in taken:
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    return len(taken)
