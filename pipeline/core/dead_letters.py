"""Messages that no worker could take: moved from RabbitMQ into rows before they expire there.

Nothing depends on them (rows say what is due), so they are for people: a wrong deployment, a stray
producer, a bug. They can be looked at, sent again, thrown away.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

import dramatiq

from pipeline import broker
from pipeline.clock import new_id
from pipeline.core import finishing
from pipeline.core.kinds import all_kinds
from pipeline.errors import NotFound, Refused, Transient
from pipeline.store.database import dialect, execute, proxy, session, transaction
from pipeline.store.models import DeadLetterRow

#: Dead messages taken from one queue in one go.
STEP = 100

#: Actors of the machine itself; the kinds name their own.
OWN_ACTORS = frozenset({finishing.ACTOR, "sweep"})


def take_in() -> int:
    """Move what lies in the dead-letter queues into rows; return how many were new.

    A message is acknowledged after its row is committed; one that is seen twice is one row.
    """
    taken = 0
    for queue in sorted(queues()):
        with broker.dead_letters(queue, STEP) as bodies:
            if bodies:
                taken += _store(queue, bodies)
    return taken


def queues() -> set[str]:
    """Return the names of all queues that this version sends to."""
    named = {finishing.QUEUE}
    for kind in all_kinds():
        named.update((kind.plan_queue, kind.work_queue))
    return named


def listed(limit: int = 100) -> list[DeadLetterRow]:
    """Return the dead letters, the newest first."""
    with session():
        return list(DeadLetterRow.select().order_by(DeadLetterRow.id.desc()).limit(limit))


def get(letter_id: str) -> DeadLetterRow:
    """Return one dead letter; ``NotFound`` when there is none of that id."""
    try:
        wanted = uuid.UUID(letter_id)
    except ValueError:
        raise NotFound(f"{letter_id!r} is not the id of a dead letter.") from None
    with session():
        row = DeadLetterRow.get_or_none(DeadLetterRow.id == wanted)
    if row is None:
        raise NotFound(f"There is no dead letter {wanted}.")
    return row


def replay(letter_id: str) -> None:
    """Send the message again as a new one; the row stays and says when."""
    letter = get(letter_id)
    told = _decoded(bytes(letter.body))
    if told is None:
        raise Refused("This message cannot be decoded, so it cannot be sent again.")
    again = broker.message(letter.queue, told.actor_name, *told.args)
    if not broker.send([again.copy(kwargs=told.kwargs)]):
        raise Transient("The broker did not take the message; try again later.")
    with transaction():
        execute(
            f"UPDATE dead_letters SET replayed_at = {dialect().now} WHERE id = %s", letter.id.hex
        )


def purge(letter_ids: Sequence[str] | None = None) -> int:
    """Throw dead letters away, all of them without ids; return how many."""
    with transaction():
        if letter_ids is None:
            return len(execute("DELETE FROM dead_letters RETURNING id"))
        ids = dialect().ids([get(letter_id).id for letter_id in letter_ids])
        return len(
            execute(f"DELETE FROM dead_letters WHERE {dialect().among('id')} RETURNING id", ids)
        )


def _store(queue: str, bodies: Sequence[bytes]) -> int:
    binary = proxy.obj.get_binary_type()
    new = 0
    with transaction():
        for body in bodies:
            told = _decoded(body)
            key = told.message_id if told else hashlib.sha256(body).hexdigest()
            new += len(
                execute(
                    "INSERT INTO dead_letters (id, key, queue, actor, body, reason, found_at)"
                    f" VALUES (%s, %s, %s, %s, %s, %s, {dialect().now})"
                    " ON CONFLICT (key) DO NOTHING RETURNING id",
                    *(new_id().hex, key, queue, told.actor_name if told else None),
                    *(binary(body), _reason(told)),
                )
            )
    return new


def _reason(told: dramatiq.Message[Any] | None) -> str:
    if told is None:
        return "undecodable"
    if told.options.get("form", broker.FORM) != broker.FORM:
        return "other_form"
    known = OWN_ACTORS.union(*((kind.plan_actor, kind.work_actor) for kind in all_kinds()))
    return "failed" if told.actor_name in known else "unknown_actor"


def _decoded(body: bytes) -> dramatiq.Message[Any] | None:
    try:
        told = json.loads(body)
        return dramatiq.Message(**told) if isinstance(told["actor_name"], str) else None
    except (ValueError, TypeError, KeyError):
        return None
