"""What a message of ours looks like, and what is wrong with one that does not.

Dramatiq trusts what it decodes: a field of another type, an option, or the name of another queue
ends the thread that takes the message, parks it in a worker's memory, or acknowledges another one.
So nothing goes on to it that we would not have written.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import dramatiq
from dramatiq.errors import DecodeError

from pipeline import signatures, tracing

#: The form of our messages; raised when their arguments change their meaning.
FORM = 1

#: The options that a message of ours has: no delays, no callbacks, no limits of its own.
OPTIONS = frozenset({"form", tracing.CARRIER})

Told = dramatiq.Message[Any] | dramatiq.MessageProxy
#: Actors by their names.
Actors = Mapping[str, dramatiq.Actor[Any, Any]]

FIELDS: dict[str, type] = {
    **{"queue_name": str, "actor_name": str, "args": tuple, "kwargs": dict},
    **{"options": dict, "message_id": str, "message_timestamp": int},
}


class Defect(StrEnum):
    """Why no worker takes a message."""

    UNDECODABLE = "undecodable"
    OTHER_FORM = "other_form"
    BAD_ARGUMENTS = "bad_arguments"


def decoded(body: bytes) -> dramatiq.Message[Any] | None:
    """Return the message that the bytes are, its fields unchecked; None when they are none."""
    try:
        return dramatiq.Message.decode(body)
    except DecodeError:
        return None


def defect(told: Told | None, queue: str, actors: Actors) -> Defect | None:
    """Return what is wrong with a message that came from the queue; None when nothing is.

    Arguments are held against the signature of their actor; whether there is one of that name is
    for others to say.
    """
    if told is None or not all(isinstance(getattr(told, each), FIELDS[each]) for each in FIELDS):
        return Defect.UNDECODABLE
    if told.options.get("form", FORM) != FORM or not OPTIONS.issuperset(told.options):
        return Defect.OTHER_FORM
    carried = told.options.get(tracing.CARRIER)
    if carried is not None and not (isinstance(carried, str) and tracing.FORM.fullmatch(carried)):
        return Defect.OTHER_FORM
    if told.queue_name != queue:
        return Defect.OTHER_FORM
    return Defect.BAD_ARGUMENTS if misfit(told, actors) else None


def misfit(told: Told, actors: Actors) -> str:
    """Return what the actor of a decoded message does not take of its arguments, or ``""``."""
    actor = actors.get(told.actor_name)
    return "" if actor is None else signatures.misfit(actor.fn, told.args, told.kwargs)


def facts(told: Told, wrong: Defect, actors: Actors) -> dict[str, str]:
    """Return what a log line says of a message that is set aside."""
    said = {"queue": told.queue_name, "why": str(wrong)}
    if wrong is Defect.BAD_ARGUMENTS:
        message_id = told.message_id[: signatures.MOST_TOLD]
        said.update(actor=told.actor_name, message_id=message_id, told=misfit(told, actors))
    return said
