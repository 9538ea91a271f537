"""Days of a time zone, as the moments at which they begin and end."""

from datetime import UTC, date, datetime, timedelta

from pipeline.core.triggers import zone_of
from pipeline.errors import Refused

DAY = timedelta(days=1)


def named(text: str) -> date:
    """Return the day that is written as 2026-11-01; ``Refused`` for anything else."""
    try:
        told = date.fromisoformat(text)
    except ValueError:
        told = None
    if told is None or told.isoformat() != text or not 1970 < told.year < 2100:
        raise Refused(f"{text!r} is no day; one is 2026-11-01.")
    return told


def bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """Return the day's first moment and that of the day after, in UTC: no moment is between them.

    A midnight that a change of clocks leaves out is the moment of that change; of one that comes
    twice it is the first.
    """
    return _midnight(day, zone), _midnight(day + DAY, zone)


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone_of(zone)).astimezone(UTC)


def of(moment: datetime, zone: str) -> date:
    """Return the day of that moment."""
    return moment.astimezone(zone_of(zone)).date()
