"""A piece of upkeep: its name, which is that of its actor, and the function behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.core.context import Context
from pipeline.errors import Refused


@dataclass(frozen=True, slots=True)
class Chore:
    """``run(context, dry_run)`` returns a dataclass of counts; with ``dry_run`` nothing changes.

    ``about``: one sentence for people. Every chore may run twice, late, and beside itself. One that
    ``takes_day`` has a third argument: the day that it is done for, or None.
    """

    name: str
    queue: str
    about: str
    run: Callable[..., Any]
    takes_day: bool = False

    def do(self, context: Context, day: date | None = None, *, dry_run: bool = False) -> Any:
        """Do it; ``Refused`` for a day where it is not done by days."""
        if day is None:
            return self.run(context, dry_run)
        if not self.takes_day:
            raise Refused(f"{self.name} is not done for one day.")
        return self.run(context, dry_run, day)
