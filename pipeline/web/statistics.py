"""The figures of days, for operators."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pipeline.core import statistics
from pipeline.core.statistics import Part, days
from pipeline.errors import Refused
from pipeline.store.models import database_now
from pipeline.web import cursors
from pipeline.web.bodies import LimitedRoute, mistake
from pipeline.web.callers import Operator
from pipeline.web.cursors import Cursor, Page
from pipeline.web.problems import responses
from pipeline.web.service import Serving

router = APIRouter(prefix="/statistics", tags=["operators"], route_class=LimitedRoute)

#: Each has some hundred figures.
MOST_DAYS = 100
DEFAULT_SPAN = timedelta(days=30)
NAME = r"^[a-z][a-z0-9_]*$"

FIRST = "The first day, as 2026-11-01."


class DailyFigure(BaseModel):
    """A number by its name and labels."""

    name: str
    value: float
    labels: dict[str, str]


class DayPart(BaseModel):
    """One part of a day."""

    part: Part
    timezone: str = Field(description="The zone of whose midnights the day was counted.")
    complete: bool = Field(description="The day was over, and all that it had was still kept.")
    generated_at: datetime


class DayOfFigures(BaseModel):
    """A day with its figures."""

    day: date
    parts: list[DayPart]
    figures: list[DailyFigure]


@router.get("", responses=responses(401, 403))
def list_statistics(
    _: Operator,
    service: Serving,
    first: Annotated[date | None, Query(alias="from", description=FIRST)] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day.")] = None,
    name: Annotated[
        str | None, Query(max_length=100, pattern=NAME, description="Figures of this name alone.")
    ] = None,
    part: Part | None = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MOST_DAYS, description="Days of a page.")] = 31,
) -> Page[DayOfFigures]:
    """Return days with their figures, the newest first: the last 31 where nothing else is said.

    Figures are made at one o'clock for the day before. A figure that is not told is 0.
    """
    until = last or days.of(database_now(), service.context.settings.timezone)
    since = first or max(date.min + DEFAULT_SPAN, until) - DEFAULT_SPAN
    if since > until:
        raise mistake("The first day is after the last", "query", "from")
    if cursor is not None:
        until = min(until, _read(cursor) - days.DAY)
    found = statistics.listed(since, until, name=name, part=part, limit=limit + 1)
    items = [DayOfFigures.model_validate(each, from_attributes=True) for each in found[:limit]]
    more = cursors.written("days", items[-1].day) if len(found) > limit else None
    return Page[DayOfFigures](items=items, next_cursor=more)


def _read(cursor: str) -> date:
    told = cursors.read("days", cursor)
    try:
        return statistics.named(told)
    except Refused:
        raise Refused("The cursor is not one of this list; begin without a cursor.") from None
