"""An hour of schedules in a fraction of its time: schedulers are killed, the broker is away."""

import random
import signal
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.core import leader
from pipeline.core.schedules import fires, firing, rows
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import Outcome
from pipeline.states import CatchUp, Overlap
from pipeline.store.database import execute, session
from tests.chaos.conftest import Form
from tests.support.fast import FastClock
from tests.support.faults import Fleet
from tests.support.recount import LINES
from tests.support.schedules import made
from tests.support.servers import Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Process, running, scheduler, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

#: Daylight saving time ends in Berlin in the middle of it.
FIRST = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
#: Looks are as much quicker as the clock is.
LOOKS = '{"schedules": {"every_s": 0.05}}'


class Hour:
    """Simulated time on a fleet: its clock, and schedulers that go by it."""

    def __init__(self, fleet: Fleet, speed: float, patch: pytest.MonkeyPatch, **told: Any) -> None:
        self.fleet = fleet
        self._honest = rows.database_now
        since = self._honest()
        self._clock = FastClock(FIRST.isoformat(), since.isoformat(), speed)
        self.now = self._clock.over(self._honest)
        settings = {"timetable": LOOKS, "schedule_lease_s": 0.6, **told}
        fleet.settings = fleet.settings.model_copy(update=settings)
        fleet.more_env = self._clock.environment
        patch.setattr(rows, "database_now", lambda: FIRST)

    def scheduler(self, name: str) -> Process:
        """Return a scheduler process, not yet started."""
        module = "tests.support.fast"
        return scheduler(self.fleet.env, self.fleet.logs, module=module, name=name)

    def comes(self, minutes: float) -> None:
        """Return when so many minutes have passed."""
        moment = FIRST + timedelta(minutes=minutes)
        eventually(lambda: self.now() >= moment, within_s=120, what=f"minute {minutes}")


def fired(schedule: Schedule) -> list[fires.Fire]:
    return fires.listed(schedule.id, limit=10_000)


def jobs_of(schedule: Schedule) -> int:
    """Count its jobs by their label, whatever its history says."""
    with session():
        [(number,)] = execute(
            "SELECT count(*) FROM jobs WHERE labels LIKE %s", f'%"schedule":"{schedule.name}"%'
        )
    return int(number)


def recounted(expected: list[tuple[Schedule, list[datetime]]], until: datetime) -> dict[str, int]:
    """Count from the rows: each time is one job, no time is missing and none is made up."""
    found: Counter[str] = Counter(fires=0, doubled=0, missed=0, unexpected=0)
    for schedule, times in expected:
        seen = Counter(row.fire_time for row in fired(schedule) if row.outcome is Outcome.SUBMITTED)
        found["fires"] += len(seen)
        found["doubled"] += jobs_of(schedule) - len(seen)
        found["missed"] += len(set(times) - set(seen))
        found["unexpected"] += len({moment for moment in seen if moment <= until} - set(times))
    return dict(found)


def line(what: str, **told: object) -> None:
    """Keep the line of figures for the end of the run."""
    LINES.append(f"{what}: " + ", ".join(f"{name} {value}" for name, value in told.items()))


def every(minutes: float, until: float) -> list[datetime]:
    number = int(until / minutes)
    return [FIRST + timedelta(minutes=minutes * place) for place in range(1, number + 1)]


def test_schedulers_are_killed_in_an_hour_and_each_time_is_a_job_once(
    fleet: Fleet, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = form.of(20, 100)
    hour = Hour(fleet, form.of(180.0, 30.0), monkeypatch)
    told: dict[str, Any] = {"catch_up": CatchUp.ALL, "overlap": Overlap.ALLOW}
    context: Any = fleet
    moment = FIRST + timedelta(minutes=29, seconds=7)
    expected = [
        (made(context, "minute", cron="* * * * *", timezone="Europe/Berlin", **told), every(1, 60)),
        (made(context, "interval", every_s=90, **told), every(1.5, 60)),
        (made(context, "quarter", cron="*/15 * * * *", **told), every(15, 60)),
        (made(context, "moment", at=moment, **told), [moment]),
    ]
    dice, killed = random.Random(6), Counter[str]()
    processes = [hour.scheduler(name) for name in ("first", "second")]
    with supervised(*processes) as supervisors:
        for number in range(1, kills + 1):
            hour.comes(number * 58 / kills)
            process = victim(processes, dice)
            killed["leader" if leads(process) else "other"] += 1
            process.signal(signal.SIGKILL)
        hour.comes(60)
        until = FIRST + timedelta(minutes=60)
        eventually(
            lambda: not [each for each, _ in expected if _next(each) <= until],
            within_s=30,
            what="what was missed is caught up",
        )
    restarts = sum(each.restarts for each in supervisors)
    found = recounted(expected, until)
    line(f"schedulers killed x {kills} in an hour", **killed, restarts=restarts, **found)
    assert found == {"fires": found["fires"], "doubled": 0, "missed": 0, "unexpected": 0}
    assert found["fires"] >= 60 + 40 + 4 + 1
    assert (restarts >= kills / 2, killed["leader"] >= kills / 5) == (True, True), killed


def _next(schedule: Schedule) -> datetime:
    found = rows.get(schedule.name).next_fire_at
    return FIRST + timedelta(days=1) if found is None else found


def leads(process: Process) -> bool:
    row = leader.held(firing.LEASE)
    return row is not None and f":{process.pid}/" in str(row.holder)


def victim(processes: list[Process], dice: random.Random) -> Process:
    """Return who leads, where somebody does, in two of three cases; else anybody.

    On a busy machine one that was killed needs a while until it may lead.
    """
    give_up_at = time.monotonic() + 5
    while not any(map(leads, processes)) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    leading = [process for process in processes if leads(process)]
    return leading[0] if leading and dice.random() < 0.67 else dice.choice(processes)


def test_broker_is_away_for_ten_minutes_and_that_costs_no_fire(
    fleet: Fleet, rabbit_node: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times that are late would be skipped."""
    hour = Hour(fleet, 60.0, monkeypatch, schedule_grace_s=180.0)
    context: Any = fleet
    schedule = made(context, catch_up=CatchUp.SKIP, overlap=Overlap.ALLOW)
    with running(hour.scheduler("scheduler"), fleet.worker()):
        hour.comes(2)
        # In order: a quorum queue so young does not outlive a kill (seen on RabbitMQ 3.10).
        rabbit_node.kill(signal.SIGTERM)
        away = hour.now()
        hour.comes((away - FIRST).total_seconds() / 60 + 10)
        during = [each for each in fired(schedule) if each.fire_time > away]
        rabbit_node.start()
        back = hour.now()
        eventually(lambda: _next(schedule) > back, within_s=30, what="it goes on")
        found = fired(schedule)
        eventually(lambda: ended(found) == len(found), within_s=60, what="every job ended")
    times = [each.fire_time for each in found]
    expected = every(1, (times[0] - FIRST).total_seconds() / 60)
    outcomes = Counter(str(each.outcome) for each in found)
    missed = len(set(expected) - set(times))
    line("broker away for 10 minutes", **outcomes, during=len(during), missed=missed)
    assert (outcomes, missed) == ({"submitted": len(expected)}, 0)
    assert len(during) >= 8
    assert jobs_of(schedule) >= len(expected)


def ended(found: list[fires.Fire]) -> int:
    """Count the fires whose jobs have succeeded."""
    ids = [each.job_id for each in found if each.job_id is not None]
    with session():
        return sum(_has_succeeded(each) for each in ids)


def _has_succeeded(job_id: uuid.UUID) -> bool:
    return execute("SELECT state FROM jobs WHERE id = %s", job_id.hex) == [("succeeded",)]
