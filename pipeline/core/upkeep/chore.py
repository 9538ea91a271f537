"""A piece of upkeep: its name, which is that of its actor, and the function behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.core.context import Context


@dataclass(frozen=True, slots=True)
class Chore:
    """``run(context, dry_run)`` returns a dataclass of counts; with ``dry_run`` nothing changes.

    ``about``: one sentence for people. Every chore may run twice, late, and beside itself.
    """

    name: str
    queue: str
    about: str
    run: Callable[[Context, bool], Any]
