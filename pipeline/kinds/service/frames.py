"""Messages between a worker and the child process of a heavy call: a length, then JSON."""

import socket
import struct
from typing import Any

import orjson

from pipeline import jsontext, processes

LENGTH = struct.Struct(">I")
#: What a frame has beside the result in it.
SLACK_BYTES = 2 * 1024 * 1024


def packed(message: dict[str, Any]) -> bytes:
    """Return the message as it is sent."""
    encoded = jsontext.encoded(message)
    return LENGTH.pack(len(encoded)) + encoded


def receive(connection: socket.socket) -> dict[str, Any]:
    """Return the next message; ``EOFError`` when the other end has gone."""
    size = LENGTH.unpack(processes.receive_exactly(connection, LENGTH.size))[0]
    message: dict[str, Any] = orjson.loads(processes.receive_exactly(connection, size))
    return message


class Inbox:
    """What comes over a connection, put together to messages of at most so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._received = bytearray()

    def take(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that are whole now; ``ValueError`` for what is none."""
        self._received += data
        messages = []
        while len(self._received) >= LENGTH.size:
            size = LENGTH.unpack_from(self._received)[0]
            if size > self._most_bytes:
                raise ValueError(f"A message of {size} bytes")
            end = LENGTH.size + size
            if len(self._received) < end:
                break
            message = orjson.loads(memoryview(self._received)[LENGTH.size : end])
            if not isinstance(message, dict):
                raise ValueError("A message that is no object")
            messages.append(message)
            del self._received[:end]
        return messages
