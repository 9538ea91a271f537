"""The timetable's form: what rings when, under this deployment's settings.

The entries themselves stand in ``schedules/timetable.py``, found by name as the actors are, since
``core`` knows no actor.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.context import Context
from pipeline.core.kinds import Tick
from pipeline.core.triggers import Cron, Every, Times
from pipeline.errors import Refused
from pipeline.settings import MOST_S, Settings

#: Where the entries stand.
DATA = "schedules.timetable"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timetable: a name, when (None: off), and what is done then.

    ``sends`` tells people what that is. What an embedded worker does by itself is ``in_worker``.
    """

    name: str
    when: Every | Cron | None
    run: Callable[[Context], object]
    sends: str = "done here"
    in_worker: bool = False


def sending(
    queue: str,
    actor: str,
    when: Every | Cron,
    *,
    is_needed: Callable[[], bool] = lambda: True,
    in_worker: bool = False,
) -> Entry:
    """Return the entry that sends a message without arguments to an actor, by its name."""
    tick = Tick(queue, actor, 0.0, is_needed)
    return Entry(actor, when, lambda _: tick.ring(), f"{actor} on {queue}", in_worker)


def entries(context: Context) -> list[Entry]:
    """Return the timetable of this version as the settings change it, what is off too."""
    return changed(importlib.import_module(DATA).timetable(context), context.settings)


def changed(told: Sequence[Entry], settings: Settings) -> list[Entry]:
    """Return the entries as the setting changes them; ``Refused`` for a change of none of them."""
    changes = _changes(settings.timetable)
    known = {entry.name for entry in told}
    for name in changes:
        if name not in known:
            raise _refused(f"there is no entry {name!r}; there are {', '.join(sorted(known))}")
    for name, when in changes.items():
        if isinstance(when, Cron):
            try:
                when.trigger(settings.timezone)
            except Refused as error:
                raise _refused(f"{name}: {error.message}") from error
    return [replace(entry, when=changes.get(entry.name, entry.when)) for entry in told]


class _Change(BaseModel):
    """One of the two."""

    model_config = ConfigDict(extra="forbid", strict=True)

    every_s: float | None = Field(None, gt=0, le=MOST_S)
    cron: str | None = None


def _changes(text: str) -> dict[str, Every | Cron | None]:
    if not text:
        return {}
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _refused(f"it is no JSON ({error.msg})") from error
    if not isinstance(told, dict):
        raise _refused("it is no JSON object of names")
    return {name: _when(name, value) for name, value in told.items()}


def _when(name: str, told: Any) -> Every | Cron | None:
    if told == OFF:
        return None
    try:
        change = _Change.model_validate(told)
    except ValidationError:
        change = _Change()
    if change.every_s is not None and change.cron is None:
        return Every(change.every_s)
    if change.cron is not None and change.every_s is None:
        return Cron(change.cron)
    raise _refused(
        f'{name} has to be {{"every_s": SECONDS}}, {{"cron": "MINUTE HOUR DAY MONTH WEEKDAY"}}'
        ' or "off"'
    )


def _refused(why: str) -> Refused:
    return Refused(f"The setting QUAYLINE_TIMETABLE cannot be used: {why.rstrip('.')}.")


def times(entry: Entry, settings: Settings) -> Times | None:
    """Return the moments at which the entry rings; None when it is off."""
    return None if entry.when is None else Times(entry.when, settings.timezone)
