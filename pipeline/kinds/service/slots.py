"""Room for calls, over all workers together: how many at once, how many a second, and pauses.

A call with a limit of them has a slot, a row with a lease: that of a worker which was killed
lapses. Who finds none is put off and noted as waiting; whoever gives a slot back makes the one due
that waits longest. The rate, and a Retry-After of the other side, are one moment before which no
call of the service begins. All by the database's clock.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.core import transitions
from pipeline.core.tasks import Claim
from pipeline.kinds.service.registry import Offer
from pipeline.store.database import as_json, as_uuid, dialect, execute, lock, session, transaction
from pipeline.store.models import moment

#: A call whose moment comes so soon is begun, and waits for it.
SHORT_S = 1.0
#: How soon a call that found every slot taken looks again by itself, at least.
LOOK_AGAIN_S = 0.5


@dataclass(slots=True)
class Room:
    """Who may begin, after how many seconds; the others look again after ``wait_s``."""

    granted: dict[uuid.UUID, float] = field(default_factory=dict)
    wait_s: float = 0.0


def take(offer: Offer, claims: Sequence[Claim], *, lease_s: float) -> Room:
    """Give the first of the claims room, as far as there is some."""
    limits = offer.limits
    if limits.concurrency is None and limits.rate_per_s is None:
        with session():
            pause_s = _pause_s(offer)
        if pause_s > SHORT_S:
            return Room({}, pause_s)
        return Room({claim.id: pause_s for claim in claims})
    with transaction():
        lock(f"service:{offer.label}")
        room = _moments(offer, claims[: _free(offer, claims)], _pause_s(offer))
        if len(room.granted) < len(claims):
            room.wait_s = max(room.wait_s, LOOK_AGAIN_S)
        held = [claim for claim in claims if claim.id in room.granted]
        _come(held)
        if limits.concurrency is not None:
            _hold(offer, held, lease_s)
        if limits.rate_per_s is not None and held:
            _put_off(offer, max(room.granted.values()) + 1 / limits.rate_per_s)
    return room


def _moments(offer: Offer, claims: Sequence[Claim], pause_s: float) -> Room:
    """Return when each of them may begin; one whose moment is far must come again."""
    rate = offer.limits.rate_per_s
    room = Room()
    for number, claim in enumerate(claims):
        begins_in_s = pause_s + (number / rate if rate is not None else 0.0)
        if begins_in_s > SHORT_S:
            room.wait_s = begins_in_s
            break
        room.granted[claim.id] = begins_in_s
    return room


def _free(offer: Offer, claims: Sequence[Claim]) -> int:
    most = offer.limits.concurrency
    if most is None:
        return len(claims)
    now = dialect().now
    place = (offer.mode, offer.name)
    execute(
        f"DELETE FROM service_slots WHERE mode = %s AND name = %s AND lease_until < {now}", *place
    )
    rows = execute("SELECT task_id FROM service_slots WHERE mode = %s AND name = %s", *place)
    # The slot of an earlier run of the same task is this one's.
    own = {claim.id for claim in claims}
    return max(0, most - sum(as_uuid(task_id) not in own for (task_id,) in rows))


def _come(claims: Sequence[Claim]) -> None:
    """They wait no more."""
    again = [claim.id for claim in claims if claim.attempt > 1]
    if again:
        sql = dialect()
        execute(f"DELETE FROM service_waits WHERE {sql.among('task_id')}", sql.ids(again))


def _hold(offer: Offer, claims: Iterable[Claim], lease_s: float) -> None:
    sql = dialect()
    for claim in claims:
        execute(
            "INSERT INTO service_slots (task_id, mode, name, attempt, lease_until)"
            f" VALUES (%s, %s, %s, %s, {sql.later('%s')}) ON CONFLICT (task_id) DO UPDATE SET"
            " mode = excluded.mode, name = excluded.name, attempt = excluded.attempt,"
            " lease_until = excluded.lease_until",
            *(claim.id.hex, offer.mode, offer.name, claim.attempt, lease_s),
        )


def renew(claims: Sequence[Claim], *, lease_s: float) -> None:
    """Keep the slots of these runs for so much longer."""
    _each(claims, f"UPDATE service_slots SET lease_until = {dialect().later('%s')}", lease_s)


def release(claims: Sequence[Claim]) -> None:
    """Give the slots of these runs back."""
    _each(claims, "DELETE FROM service_slots")


def _each(claims: Sequence[Claim], statement: str, *parameters: Any) -> None:
    if not claims:
        return
    sql = dialect()
    told = [{"id": claim.id.hex, "attempt": claim.attempt} for claim in claims]
    with transaction():
        execute(
            f"{statement} WHERE EXISTS (SELECT 1 FROM {sql.rows({'id': 'uuid', 'attempt': 'int'})}"
            " WHERE r.id = service_slots.task_id AND r.attempt = service_slots.attempt)",
            *(*parameters, as_json(sorted(told, key=lambda each: str(each["id"])))),
        )


def wait(offer: Offer, claims: Sequence[Claim]) -> int:
    """Note that these are put off for want of room; return how many of the service are."""
    sql = dialect()
    place = (offer.mode, offer.name)
    with transaction():
        for claim in sorted(claims, key=lambda each: each.id):
            execute(
                f"INSERT INTO service_waits (task_id, mode, name, since) VALUES (%s, %s, %s,"
                f" {sql.now}) ON CONFLICT (task_id) DO NOTHING",
                *(claim.id.hex, *place),
            )
        sql_count = "SELECT count(*) FROM service_waits WHERE mode = %s AND name = %s"
        return int(execute(sql_count, *place)[0][0])


def wake(offer: Offer) -> set[str]:
    """Make as many due as there is room for, those that wait longest; return their jobs' kinds."""
    place = (offer.mode, offer.name)
    kinds: list[str] = []
    with transaction():
        lock(f"service:{offer.label}")
        free = _free(offer, []) if _pause_s(offer) <= SHORT_S else 0
        while len(kinds) < free:
            rows = execute(
                "DELETE FROM service_waits WHERE task_id IN (SELECT task_id FROM service_waits"
                " WHERE mode = %s AND name = %s ORDER BY since, task_id LIMIT %s)"
                " RETURNING task_id",
                *(*place, free - len(kinds)),
            )
            if not rows:
                break
            # One that ended meanwhile, or is in work, leaves its turn to the next.
            kinds += transitions.make_due([as_uuid(task_id) for (task_id,) in rows])
    return set(kinds)


def pause(offer: Offer, seconds: float) -> None:
    """No call of the service begins for so long, on any worker."""
    with transaction():
        _put_off(offer, seconds)


def _put_off(offer: Offer, seconds: float) -> None:
    later = dialect().later("%s")
    execute(
        f"INSERT INTO service_pauses (mode, name, next_at) VALUES (%s, %s, {later})"
        " ON CONFLICT (mode, name) DO UPDATE SET next_at = CASE"
        " WHEN excluded.next_at > service_pauses.next_at THEN excluded.next_at"
        " ELSE service_pauses.next_at END",
        *(offer.mode, offer.name, seconds),
    )


def _pause_s(offer: Offer) -> float:
    rows = execute(
        f"SELECT next_at, {dialect().now} FROM service_pauses WHERE mode = %s AND name = %s",
        *(offer.mode, offer.name),
    )
    if not rows:
        return 0.0
    next_at, now = (moment(each) for each in rows[0])
    return max(0.0, (next_at - now).total_seconds())
