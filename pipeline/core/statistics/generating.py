"""Makes the figures of days: of the one that is asked for, or of those that are due.

What is counted is what rows tell now. So figures that were made when all was there are not made
again when some of it was removed, and days that had nobody (the scheduler was off) are made good.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from pipeline import clock
from pipeline.core import access_log
from pipeline.core.context import Context
from pipeline.core.statistics import days, figures
from pipeline.core.statistics.access import access_figures
from pipeline.core.statistics.days import DAY
from pipeline.core.statistics.figures import Figure, Kept, Part
from pipeline.core.statistics.system import system_figures
from pipeline.errors import Refused
from pipeline.settings import Settings
from pipeline.store.database import as_uuid, execute, session
from pipeline.store.models import database_now

#: Days before yesterday that are looked at, whether they have their figures.
LOOK_BACK = 31
#: Records of requests come late where the broker was away, so the last days are counted again.
AGAIN = 2

_MAKE: dict[Part, Callable[[datetime, datetime], Iterator[Figure]]] = {
    Part.SYSTEM: system_figures,
    Part.ACCESS: access_figures,
}


@dataclass(slots=True)
class Generated:
    """The days that were counted, and how many figures they have; ``partial``: days that are not
    over, or of which some was removed before."""

    days: list[str] = field(default_factory=list)
    figures: int = 0
    partial: int = 0


def generate(
    part: Part, context: Context, day: date | None = None, *, dry_run: bool = False
) -> Generated:
    """The figures of the day, or of all days that are due, are written; told twice, the same.

    Raises ``Refused`` for a day that has not begun, and for one whose figures are complete while
    some of what they were counted from is gone.
    """
    settings = context.settings
    kept_since = _kept_since(part, settings)
    wanted = [day] if day else _due(part, kept_since, settings)
    if day is not None:
        _check(part, day, kept_since, settings)
    done = Generated()
    for each in wanted:
        now = database_now()
        start, end = days.bounds(each, settings.timezone)
        found = list(_MAKE[part](start, end))
        is_complete = kept_since <= start and end <= now
        kept = Kept(part, settings.timezone, is_complete, now)
        if not dry_run:
            figures.write(each, kept, found)
        done.days.append(each.isoformat())
        done.figures += len(found)
        done.partial += not is_complete
    return done


def _check(part: Part, day: date, kept_since: datetime, settings: Settings) -> None:
    start, _ = days.bounds(day, settings.timezone)
    if start > database_now():
        raise Refused(f"The day {day} has not begun.")
    before = figures.known(part, day).get(day)
    if before is not None and before.complete and start < kept_since:
        raise Refused(
            f"Some of what there was on {day} is kept no more; its figures, made at"
            f" {before.generated_at:%Y-%m-%d %H:%M} UTC, stay."
        )


def _due(part: Part, kept_since: datetime, settings: Settings) -> list[date]:
    """Return the last days, and those before them that have no complete figures and could."""
    today = days.of(database_now(), settings.timezone)
    first = max(today - LOOK_BACK * DAY, min(_first_day(settings), today - DAY))
    known = figures.known(part, first)
    found = []
    for back in range((today - first).days, 0, -1):
        day = today - back * DAY
        start, _ = days.bounds(day, settings.timezone)
        is_known = day in known and known[day].complete
        is_gone = day in known and start < kept_since
        if not is_gone and (back <= AGAIN or not is_known):
            found.append(day)
    return found


def _first_day(settings: Settings) -> date:
    """Return the day of the oldest row that figures are made from; today where there is none."""
    oldest = database_now()
    with session():
        for table in ("jobs", "access_log"):
            for (row_id,) in execute(f"SELECT id FROM {table} ORDER BY id LIMIT 1"):
                oldest = min(oldest, clock.time_of(as_uuid(row_id)))
    return days.of(oldest, settings.timezone)


def _kept_since(part: Part, settings: Settings) -> datetime:
    """Return the moment of which on nothing that the figures are made from was due to go."""
    names = {access_log.KEPT_AS}
    if part is Part.SYSTEM:
        with session():
            names = {kind for (kind,) in execute("SELECT DISTINCT kind FROM jobs")}
    kept_s = [told for name in names if (told := settings.retention_s(name)) is not None]
    if not kept_s:
        return datetime.min.replace(tzinfo=UTC)
    return database_now() - timedelta(seconds=min(kept_s))
