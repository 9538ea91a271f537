"""Doorbells of the figures of days; without a day those that are due."""

from typing import Annotated

import dramatiq
from pydantic import Field

from pipeline.broker import MINUTE_MS
from pipeline.core.context import current_context

Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


@dramatiq.actor(queue_name="statistics", time_limit=20 * MINUTE_MS)
def generate_statistics(day: Day | None = None) -> None:
    """Count what the machine did."""
    _do("generate_statistics", day)


@dramatiq.actor(queue_name="statistics", time_limit=20 * MINUTE_MS)
def generate_access_statistics(day: Day | None = None) -> None:
    """Count requests to the API."""
    _do("generate_access_statistics", day)


def _do(name: str, day: str | None) -> None:
    from pipeline.core import upkeep

    upkeep.do(name, current_context(), day)
