"""Messages that no worker could take: moved from RabbitMQ into rows before they expire there.

Nothing depends on them (rows say what is due), so they are for people: a wrong deployment, a stray
producer, a bug. They can be looked at, sent again, thrown away.
"""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import dramatiq

from pipeline import broker, messages
from pipeline.clock import new_id
from pipeline.core import doorbells, finishing
from pipeline.core.kinds import all_kinds
from pipeline.errors import NotFound, Refused, Transient
from pipeline.messages import Actors, Defect
from pipeline.store.database import dialect, execute, proxy, session, transaction
from pipeline.store.models import DeadLetterRow

#: Dead messages taken from one queue in one go.
STEP = 100
#: After so many steps the rest of a flood waits for the next time.
MOST_STEPS = 200


def take_in() -> int:
    """Move what lies in the dead-letter queues into rows; return how many were new.

    A message is acknowledged after its row is committed; one that is seen twice is one row.
    """
    return sum(_take_in(queue) for queue in sorted(queues()))


def _take_in(queue: str) -> int:
    taken = 0
    for _ in range(MOST_STEPS):
        with broker.dead_letters(queue, STEP) as bodies:
            taken += _store(queue, bodies)
        if not bodies:
            break
    return taken


def queues() -> set[str]:
    """Return the names of all queues that this version sends to."""
    named = {finishing.QUEUE, *(actor.queue_name for actor in doorbells.declared().values())}
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


def misfit(letter: DeadLetterRow) -> str:
    """Return what the message's actor does not take of its arguments, ``""`` when it takes all.

    Nobody judges those of an actor that this version does not have, or of another form.
    """
    told = messages.decoded(bytes(letter.body))
    if told is None or letter.reason in (Defect.UNDECODABLE, Defect.OTHER_FORM):
        return ""
    return messages.misfit(told, doorbells.declared())


def replay(letter_id: str) -> None:
    """Send the message again as a new one; the row stays and says when.

    Raises ``Refused`` for one that would be set aside again.
    """
    letter = get(letter_id)
    told = messages.decoded(bytes(letter.body))
    if told is None or letter.reason == Defect.UNDECODABLE:
        raise Refused("This message cannot be decoded, so it cannot be sent again.")
    if wrong := misfit(letter):
        raise Refused(
            f"{letter.actor} does not take the arguments of this message ({wrong}), so it is not"
            " sent again."
        )
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
    actors = doorbells.declared() if bodies else {}
    new = 0
    with transaction():
        for body in bodies:
            told = messages.decoded(body)
            reason = _reason(told, queue, actors)
            actor = _shown(told.actor_name) if told and reason != Defect.UNDECODABLE else None
            # Not the message's own id: whoever wrote it may have written that twice.
            key = hashlib.sha256(queue.encode() + b"\0" + body).hexdigest()
            new += len(
                execute(
                    "INSERT INTO dead_letters (id, key, queue, actor, body, reason, found_at)"
                    f" VALUES (%s, %s, %s, %s, %s, %s, {dialect().now})"
                    " ON CONFLICT (key) DO NOTHING RETURNING id",
                    *(new_id().hex, key, queue, actor, binary(body), reason),
                )
            )
    return new


def _reason(told: dramatiq.Message[Any] | None, queue: str, actors: Actors) -> str:
    wrong = messages.defect(told, queue, actors)
    if told is None or wrong is not None:
        return wrong or Defect.UNDECODABLE
    known = {name for kind in all_kinds() for name in (kind.plan_actor, kind.work_actor)}
    return "failed" if told.actor_name in known.union(actors) else "unknown_actor"


def _shown(name: str) -> str:
    """Return a name from a message as a terminal and a database bear it."""
    return (name if name.isprintable() else ascii(name)[1:-1])[:200]
