"""What happens periodically. Ticks do little; a tick that is missed or doubled harms nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core import dead_letters
from pipeline.core.context import Context
from pipeline.core.kinds import Tick, all_kinds
from pipeline.core.sweep import sweep


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timetable."""

    name: str
    every_s: float
    run: Callable[[Context], object]


def timetable(context: Context) -> list[Entry]:
    """Return the entries under this process's settings."""
    return [
        Entry("sweep", context.settings.sweep_s, sweep),
        # Far below the seven days after which RabbitMQ drops a dead message.
        Entry("dead letters", 60.0, lambda _: dead_letters.take_in()),
        *(_rung(tick) for kind in all_kinds() for tick in kind.ticks(context)),
    ]


def _rung(tick: Tick) -> Entry:
    return Entry(tick.actor.replace("_", " "), tick.every_s, lambda _: tick.ring())
