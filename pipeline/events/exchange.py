"""The exchange that hints go through."""

from typing import Any

#: Topic: another consumer may bind its own queue to it; ours takes all.
EXCHANGE = "quayline.events"
ROUTING_KEY = "jobs.changed"


def declare(connection: Any) -> Any:
    """Return a channel of the connection on which the exchange is there."""
    channel = connection.channel()
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    return channel
