"""Sends every message of a RabbitMQ node a second time, as a network that stutters would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pika

from tests.support.servers import Rabbit

#: RabbitMQ's firehose: a copy of every message published, while tracing is on.
FIREHOSE = "amq.rabbitmq.trace"
MARK = "doubled"


@dataclass
class Doubled:
    """How many messages were sent again."""

    number: int = 0


@contextmanager
def doubled_messages(node: Rabbit) -> Iterator[Doubled]:
    """Publish a copy of each message to its queue while the block runs."""
    counted, ended = Doubled(), threading.Event()
    node.control("trace_on")
    thread = threading.Thread(target=_double, args=(node, counted, ended), name="doubler")
    thread.start()
    try:
        yield counted
    finally:
        ended.set()
        thread.join()
        node.control("trace_off")


def _double(node: Rabbit, counted: Doubled, ended: threading.Event) -> None:
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
