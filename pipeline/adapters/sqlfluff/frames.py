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


def pack_work(header: dict[str, Any], data: bytes) -> bytes:
    """One piece of work for a child."""
    encoded = json.dumps(header, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return WORK.pack(len(encoded), len(data)) + encoded + data


def pack_reply(reply: dict[str, Any]) -> bytes:
    """One answer of a child; ``OverflowError`` when it is larger than the bound."""
    encoded = jsontext.encoded(reply)
    if len(encoded) > MAX_REPLY_BYTES:
        raise OverflowError(len(encoded))
    return REPLY.pack(len(encoded)) + encoded
