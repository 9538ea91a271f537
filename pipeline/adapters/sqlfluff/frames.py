"""Length-prefixed messages between the pool and a child: JSON, and raw bytes towards the child.

What comes back from a child is untrusted (it has read hostile SQL): bounded bytes of JSON only.
"""

import json
import struct
from typing import Any

from pipeline import jsontext

WORK = struct.Struct(">II")  # bytes of the JSON header, bytes of the file
REPLY = struct.Struct(">I")
MAX_REPLY_BYTES = 64 * 1024 * 1024


def pack_header(header: dict[str, Any]) -> bytes:
    """What pieces of work have in common."""
    return json.dumps(header, separators=(",", ":")).encode("utf-8", "surrogatepass")


def pack_work(header: bytes, data: bytes) -> bytes:
    """One piece of work for a child."""
    return WORK.pack(len(header), len(data)) + header + data


def reply_bytes(received: bytes | bytearray) -> int:
    """How long the reply is that begins here; -1 while that is not known."""
    return int(REPLY.unpack_from(received)[0]) if len(received) >= REPLY.size else -1


def pack_reply(reply: dict[str, Any]) -> bytes:
    """One answer of a child; ``OverflowError`` when it is larger than the bound."""
    encoded = jsontext.encoded(reply)
    if len(encoded) > MAX_REPLY_BYTES:
        raise OverflowError(len(encoded))
    return REPLY.pack(len(encoded)) + encoded
