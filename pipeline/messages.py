"""What a message of ours looks like, and what is wrong with one that does not.

Dramatiq trusts what it decodes: a field of another type, an option, or the name of another queue
ends the thread that takes the message, parks it in a worker's memory, or acknowledges another one.
So nothing goes on to it that we would not have written.
"""

from enum import StrEnum
from typing import Any

import dramatiq
from dramatiq.errors import DecodeError

#: The form of our messages; raised when their arguments change their meaning.
FORM = 1

#: The options that a message of ours has: no delays, no callbacks, no limits of its own.
OPTIONS = frozenset({"form"})

Told = dramatiq.Message[Any] | dramatiq.MessageProxy

FIELDS: dict[str, type] = {
    **{"queue_name": str, "actor_name": str, "args": tuple, "kwargs": dict},
    **{"options": dict, "message_id": str, "message_timestamp": int},
}


class Defect(StrEnum):
    """Why no worker takes a message, whatever actors it knows."""

    UNDECODABLE = "undecodable"
    OTHER_FORM = "other_form"


def decoded(body: bytes) -> dramatiq.Message[Any] | None:
    """Return the message that the bytes are, its fields unchecked; None when they are none."""
    try:
        return dramatiq.Message.decode(body)
    except DecodeError:
        return None


def defect(told: Told | None, queue: str) -> Defect | None:
    """Return what is wrong with a message that came from the queue; None when nothing is."""
    if told is None or not all(isinstance(getattr(told, each), FIELDS[each]) for each in FIELDS):
        return Defect.UNDECODABLE
    if told.options.get("form", FORM) != FORM or not OPTIONS.issuperset(told.options):
        return Defect.OTHER_FORM
    return Defect.OTHER_FORM if told.queue_name != queue else None
