"""Schedules of the trivial kind, and a clock by which their times come."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.core import leader
from pipeline.core.context import Context
from pipeline.core.schedules import book, fires, firing, rows
from pipeline.core.schedules.fires import Fire
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleRequest
from pipeline.store.database import execute, session

#: A Thursday, on the hour.
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Time:
    """The database's clock as schedules see it; it stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.now = NOON
        monkeypatch.setattr(rows, "database_now", lambda: self.now)
        monkeypatch.setattr(firing, "_seen", None)

    def goes(self, *, minutes: float) -> None:
        """It is so much later."""
        self.now += timedelta(minutes=minutes)

    def process(self, name: str) -> None:
        """From now on this process is the scheduler of that name."""
        self._monkeypatch.setattr(leader, "_own", lambda _: name)


def clear() -> None:
    """Forget all schedules and who leads."""
    with session():
        for table in ("schedule_fires", "schedules", "leases"):
            execute(f"DELETE FROM {table}")


def made(context: Context, name: str = "often", **told: Any) -> Schedule:
    """Store a schedule, by default one of every minute."""
    if not {"cron", "every_s", "at"} & set(told):
        told["cron"] = "* * * * *"
    told.setdefault("parameters", {"tasks": 0})
    asked = ScheduleRequest(name=name, kind="trivial", **told)
    return book.create(asked, context, owner="ann")


def history(schedule: Schedule) -> list[Fire]:
    """Return its fires, the oldest first."""
    return fires.listed(schedule.id, limit=10_000)[::-1]


def outcomes(schedule: Schedule) -> Counter[str]:
    """Count its fires by what came of them."""
    return Counter(str(fire.outcome) for fire in history(schedule))
