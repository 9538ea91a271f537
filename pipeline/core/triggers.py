"""When something happens: cron expressions, intervals and single moments, counted by APScheduler.

Every answer is in UTC. Local times follow the zone: one that a change of clocks leaves out happens
an hour later by the clock, and one that comes twice happens the first time, unless every hour is
meant.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline import clock
from pipeline.errors import Refused

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger
    from apscheduler.triggers.date import DateTrigger
    from apscheduler.triggers.interval import IntervalTrigger

#: From here intervals are counted, so that a restart does not begin them anew.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
#: Later than that nobody plans, and the calendar has an end.
LAST = datetime(2999, 1, 1, tzinfo=UTC)

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS = re.compile(r"(?:\*|([0-7])(?:-([0-7]))?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, so many seconds apart."""

    seconds: float
    since: datetime = EPOCH

    def trigger(self, zone: str) -> "IntervalTrigger":
        """Return APScheduler's."""
        # Not at the top: who submits a job loads no scheduler.
        from apscheduler.triggers.interval import IntervalTrigger

        return IntervalTrigger(seconds=self.seconds, start_date=self.since, timezone=UTC)

    def __str__(self) -> str:
        """Return it for people."""
        return f"every {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Cron:
    """At the local times of a cron expression: minute, hour, day, month, weekday."""

    expression: str

    def trigger(self, zone: str) -> "CronTrigger":
        """Return APScheduler's; ``Refused`` for what is no expression or no zone."""
        from apscheduler.triggers.cron import CronTrigger

        fields = self.expression.split()
        if len(fields) != 5:
            raise Refused(
                f"The cron expression {self.expression!r} has {len(fields)} fields; there are five:"
                " minute, hour, day, month, weekday."
            )
        minute, hour, day, month, weekday = fields
        if day != "*" and weekday != "*":
            raise Refused(
                f"The cron expression {self.expression!r} names a day of the month and a weekday:"
                " some crons want both, some one of them. Make it two schedules."
            )
        try:
            return CronTrigger(
                minute=minute,
                hour=hour,
                day=day,
                month=month,
                day_of_week=_weekdays(weekday),
                timezone=zone_of(zone),
            )
        except (ValueError, TypeError, OverflowError) as error:
            told = f"The cron expression {self.expression!r} cannot be read: {error}"
            raise Refused(f"{told.rstrip('.')}.") from error

    @property
    def means_every_hour(self) -> bool:
        """True when the hour that comes twice is meant both times."""
        return self.expression.split()[1].startswith("*")

    def __str__(self) -> str:
        """Return it for people."""
        return f"cron {self.expression}"


@dataclass(frozen=True, slots=True)
class Once:
    """At one moment."""

    moment: datetime

    def trigger(self, zone: str) -> "DateTrigger":
        """Return APScheduler's."""
        from apscheduler.triggers.date import DateTrigger

        return DateTrigger(self.moment, timezone=UTC)

    def __str__(self) -> str:
        """Return it for people."""
        return f"at {self.moment.isoformat(timespec='seconds')}"


When = Every | Cron | Once


class Times:
    """The moments of one ``When`` in a zone."""

    def __init__(self, when: When, zone: str) -> None:
        self._trigger: Any = when.trigger(zone)
        self._is_single = isinstance(when, Once)
        self._twice = not isinstance(when, Cron) or when.means_every_hour

    def after(self, moment: datetime) -> datetime | None:
        """Return the first one after that moment, in UTC; None when there is none any more."""
        while True:
            # In UTC: adding to a local time forgets which of two equal hours it is in.
            asked = moment.astimezone(UTC) + MOMENT
            try:
                found = self._trigger.get_next_fire_time(None, asked)
                if found is None:
                    return None
                moment = found.astimezone(UTC)
            except (OverflowError, ValueError):  # The calendar's end.
                return None
            # APScheduler tells a single moment even when it has passed.
            if moment >= LAST or (self._is_single and moment < asked):
                return None
            if self._twice or not found.fold:
                return moment


def zone_of(name: str) -> Any:
    """Return the time zone of that name; ``Refused`` when there is none."""
    try:
        return clock.zone(name)
    except ValueError as error:
        raise Refused(str(error)) from None


def _weekdays(field: str) -> str:
    """Return a field of weekdays by their names: cron's 0 and 7 are Sunday, APScheduler's 0 is
    Monday."""
    return field if field == "*" else ",".join(_named(part) for part in field.split(","))


def _named(part: str) -> str:
    found = _DAYS.fullmatch(part)
    if found is None:
        return part
    first, last, step = found.groups()
    if first is None:
        first, last = "0", "6"
    elif last is None:
        last = "6" if step else first
    if int(last) < int(first) or step in ("0", "00"):
        raise ValueError(f"the weekdays {part} never come")
    days = range(int(first), int(last) + 1, int(step or 1))
    return ",".join(WEEKDAYS[day % 7] for day in days)
