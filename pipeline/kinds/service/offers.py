"""What workers offer, as rows: who submits sees it without importing any service."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.core import documents
from pipeline.errors import DatabaseUnavailable, Refused
from pipeline.kinds.service import registry
from pipeline.kinds.service.registry import Limits, Offer
from pipeline.kinds.service.spec import MOST_STEPS, Call, ServiceParameters, calls
from pipeline.store.database import as_json, dialect, execute, proxy, session, transaction
from pipeline.store.models import moment

log = logging.getLogger(__name__)

#: How often a process that works says what it offers, in seconds.
AGAIN_S = 600.0
#: So many services that nobody has offered are named.
MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Offered:
    """A service that workers have offered, last seen at ``seen_at``.

    Where its tasks take different things, a schema has those of all of them, and under ``tasks``
    which one is whose.
    """

    mode: str
    name: str
    heavy: bool
    description: str
    tasks: list[str]
    takes_any: bool
    limits: Mapping[str, Any]
    input_schema: Mapping[str, Any] | None
    output_schema: Mapping[str, Any] | None
    seen_at: datetime


_COLUMNS = (
    "mode, name, heavy, description, tasks, takes_any, limits, input_schema, output_schema, seen_at"
)


def listed() -> list[Offered]:
    """Return every service that workers have offered, by mode and name."""
    with session():
        rows = execute(f"SELECT {_COLUMNS} FROM services ORDER BY mode, name")
    return [_offered(*row) for row in rows]


def get(mode: str, name: str) -> Offered | None:
    """Return the service; None when no worker has offered it."""
    with session():
        rows = execute(f"SELECT {_COLUMNS} FROM services WHERE mode = %s AND name = %s", mode, name)
    return _offered(*rows[0]) if rows else None


def check(parameters: ServiceParameters) -> None:
    """Raise ``Refused`` for a call that the service, as workers have offered it, will not take: a
    task that it does not have, an input that lacks what must be there.

    What only the service itself can judge is left to it, and so is one that nobody has offered yet.
    """
    known: dict[tuple[str, str], Offered | None] = {}
    for call in calls(parameters):
        place = (call.mode, call.service)
        if place not in known:
            known[place] = get(*place)
        offered = known[place]
        if offered is not None:
            _check(call, offered)


def _check(call: Call, offered: Offered) -> None:
    label = f"{offered.mode}/{offered.name}"
    if call.task not in offered.tasks and not offered.takes_any:
        told = ", ".join(offered.tasks)
        raise Refused(f"The service {label} has no task {call.task!r}; it has {told}.")
    required = _of_task(offered.input_schema or {}, call.task).get("required", [])
    missing = [name for name in required if name not in call.input]
    if missing:
        raise Refused(f"The input of {call.name!r} lacks {', '.join(missing)}.")


def _of_task(schema: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """Return what the schema says of one task."""
    if "tasks" not in schema:
        return schema
    place = schema["tasks"].get(task, {}).get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = schema.get("$defs", {}).get(place, {})
    return found


def warning(parameters: ServiceParameters) -> str:
    """Return what its submitter is told when a service is called that no worker has offered, ``""``
    when all are known: the call is kept, since its worker may come."""
    with session():
        rows = execute("SELECT mode, name FROM services ORDER BY mode, name")
    known = [f"{mode}/{name}" for mode, name in rows]
    called = {f"{each.mode}/{each.service}" for each in islice(calls(parameters), MOST_STEPS)}
    missing = sorted(called - {*known})
    if not missing:
        return ""
    told = ", ".join([*missing[:MOST_TOLD], *(["…"] if len(missing) > MOST_TOLD else [])])
    return f"No worker has offered {told} yet; {registry.known_of(missing[0], known)}."


def are_heavy(parameters: ServiceParameters) -> bool:
    """Tell whether one of the services that are called is known to be heavy."""
    called = {(call.mode, call.service) for call in islice(calls(parameters), MOST_STEPS)}
    found = [get(mode, name) for mode, name in sorted(called)]
    return any(offered is not None and offered.heavy for offered in found)


def _offered(mode: str, name: str, heavy: int, description: str, *told: Any) -> Offered:
    tasks, takes_any, limits, taken, given, seen_at = told
    return Offered(
        *(mode, name, bool(heavy), description),
        tasks=documents.loaded(tasks).get("names", []),
        takes_any=bool(takes_any),
        limits=documents.loaded(limits),
        input_schema=documents.loaded(taken) if taken else None,
        output_schema=documents.loaded(given) if given else None,
        seen_at=moment(seen_at),
    )


def announce() -> None:
    """Write what this process knows."""
    rows = [_row(offer) for offer in registry.offers()]
    if not rows:
        return
    sql = dialect()
    names = [*rows[0]]
    taken_over = ", ".join(f"{name} = excluded.{name}" for name in (*names[2:], "seen_at"))
    columns = {name: "int" if name in ("heavy", "takes_any") else "text" for name in names}
    with transaction():
        execute(
            f"INSERT INTO services ({', '.join(names)}, seen_at)"
            f" SELECT {', '.join(f'r.{name}' for name in names)}, {sql.now}"
            f" FROM {sql.rows(columns)} WHERE 1 = 1 ORDER BY r.mode, r.name"
            f" ON CONFLICT (mode, name) DO UPDATE SET {taken_over}",
            as_json(rows),
        )


def announce_now_and_then() -> None:
    """Write it if this process has not done so for a while; should the database be away, another
    time will do."""
    global _announced, _announced_at
    with _lock:
        is_fresh = time.monotonic() - _announced_at < AGAIN_S
        if _announced is proxy.obj and is_fresh:
            return
        try:
            announce()
        except DatabaseUnavailable as error:
            log.warning("What is offered is not written", extra={"error": error.message})
        else:
            _announced, _announced_at = proxy.obj, time.monotonic()


#: The database in which it was written, and when.
_announced: Any = None
_announced_at = 0.0
_lock = threading.Lock()


def _row(offer: Offer) -> dict[str, Any]:
    return {
        "mode": offer.mode,
        "name": offer.name,
        "heavy": int(offer.heavy),
        "description": offer.description,
        "tasks": as_json({"names": offer.tasks}),
        "takes_any": int(offer.takes_any),
        "limits": as_json(_limits(offer.limits)),
        "input_schema": _schema(offer.input, offer.input_of, offer.tasks),
        "output_schema": _schema(offer.output, offer.output_of, offer.tasks),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "concurrency": limits.concurrency,
        "rate_per_s": limits.rate_per_s,
        "soft_time_limit_s": limits.soft_time_limit_s,
        "time_limit_s": limits.time_limit_s,
        "max_attempts": limits.max_attempts,
        "retry_on": [error.__name__ for error in limits.retry_on],
    }


def _schema(
    model: type[BaseModel] | None,
    of_task: Callable[[str], type[BaseModel] | None],
    tasks: list[str],
) -> str | None:
    if model is not None:
        return as_json(model.model_json_schema())
    models = {task: found for task in tasks if (found := of_task(task)) is not None}
    if not models:
        return None
    places, schema = models_json_schema([(each, "validation") for each in {*models.values()}])
    by_task = {task: places[found, "validation"] for task, found in models.items()}
    some = [dict(told) for told in {tuple(each.items()) for each in by_task.values()}]
    # A task without a model takes anything.
    any_of = {"anyOf": sorted(some, key=str)} if len(models) == len(tasks) else {}
    return as_json({**any_of, "tasks": by_task, **schema})
