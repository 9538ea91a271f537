"""What keeps a deployment in order: each chore is a module, an actor, and a command by hand.

Chores are no jobs: nobody submits them, they have no tasks, and one that is lost is made good by
the next. So they are functions that an actor rings, and what they did is a few counts.
"""

import difflib
import logging
from dataclasses import asdict

from pipeline.core.context import Context
from pipeline.core.kinds import all_kinds
from pipeline.core.statistics import days
from pipeline.core.upkeep import (
    checking,
    daily,
    indexes,
    migration,
    retention,
    rubbish,
    saving,
    statistics,
    users,
    watching,
)
from pipeline.core.upkeep.chore import Chore
from pipeline.errors import NotFound, Refused, Transient

log = logging.getLogger(__name__)

#: What is not of a kind; a kind's own stand in its package (``chores``).
OWN = (
    watching.CHORE,
    checking.CHORE,
    retention.CHORE,
    rubbish.CHORE,
    daily.CHORE,
    retention.ACCESS_LOG_CHORE,
    statistics.SYSTEM_CHORE,
    statistics.ACCESS_CHORE,
    migration.CHORE,
    users.CHORE,
    indexes.CHORE,
    saving.CHORE,
)


def chores() -> list[Chore]:
    """Return every chore."""
    return [*OWN, *(chore for kind in all_kinds() for chore in kind.chores())]


def do(name: str, context: Context, day: str | None = None) -> None:
    """Do the chore as its actor does, for a day (2026-11-01) where one is told: what it did is
    logged; what it refuses is a warning, and what is away is for the next time."""
    try:
        done = get(name).do(context, None if day is None else days.named(day))
    except (Refused, Transient) as error:
        log.warning("A chore could not be done", extra={"chore": name, "error": error.message})
    else:
        log.info("A chore was done", extra={"chore": name, **asdict(done)})


def get(name: str) -> Chore:
    """Return the chore of that name; ``NotFound`` when there is none."""
    for chore in chores():
        if chore.name == name:
            return chore
    near = difflib.get_close_matches(name, [chore.name for chore in chores()], n=1)
    meant = f" Is {near[0]} meant?" if near else ""
    raise NotFound(f"There is no chore {name!r}; `quayline upkeep` lists them.{meant}")
