"""Clocks that jump by five minutes in mid-job, forth and back: no harm, and nobody waits for them.

What is due is judged by the database's clock; the clocks of workers and scheduler must not matter.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from tests.chaos.conftest import Form, told
from tests.support.clock import Clock
from tests.support.faults import Fleet
from tests.support.recount import Recount
from tests.support.waiting import eventually
from tests.support.workers import Process, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

JUMP_S = 300
#: A job that waited for its time to come again would take longer.
WITHIN_S = 60


def jumps(form: Form) -> Sequence[int]:
    """Return where the clock jumps to, one after another."""
    return form.of((JUMP_S, 0, -JUMP_S), (JUMP_S, 0, -JUMP_S, 0) * 5)


def ran(
    fleet: Fleet, clock: Clock, form: Form, noticed: Callable[[Process], bool]
) -> tuple[Recount, float]:
    """Run a job through all jumps; return the recount and how long it took after the last jump.

    ``noticed`` tells from the scheduler that the processes go by that clock.
    """
    scheduler = fleet.scheduler()
    tasks = form.of(60, 80)  # Enough for the scheduler to look twice between two jumps.
    # As by default: a pause may well be longer than the jump. A lease is much shorter than that,
    # and longer than a busy machine keeps a worker waiting.
    fleet.settings = fleet.settings.model_copy(update={"backoff_max_s": 600.0, "lease_s": 20.0})
    with running(fleet.worker(processes=2), scheduler):
        job_id = fleet.submit(tasks * (len(jumps(form)) + 1), pause_s=0.2)
        for number, offset_s in enumerate(jumps(form), start=1):
            fleet.done(job_id, tasks * number, within_s=WITHIN_S)
            fleet.submit(10)
            clock.jump_to(offset_s)
            fleet.submit(10)
        began = time.monotonic()
        found = fleet.settled(within_s=WITHIN_S)
        seconds = round(time.monotonic() - began, 1)
        eventually(lambda: noticed(scheduler), within_s=10, what="the jump is noticed")
    return found, seconds


def most_runs(fleet: Fleet) -> int:
    """Return how often the task ran that ran most often."""
    with psycopg.connect(fleet.settings.database) as connection:
        [(number,)] = connection.execute("SELECT max(attempt) FROM tasks")
    return int(number)


def test_the_clock_of_postgresql_jumps(clocked_fleet: tuple[Fleet, Clock], form: Form) -> None:
    fleet, clock = clocked_fleet
    found, seconds = ran(
        *(fleet, clock, form), lambda scheduler: scheduler.said("database's clock was set back") > 0
    )
    runs = most_runs(fleet)
    what = f"PostgreSQL's clock jumps x {len(jumps(form))}"
    told(found, what, most_runs=runs, settled_s=seconds)
    ahead = sum(after > before for before, after in pairwise((0, *jumps(form))))
    assert runs <= 1 + ahead


def test_the_clocks_of_workers_and_scheduler_jump(fleet: Fleet, tmp_path: Path, form: Form) -> None:
    clock = Clock(tmp_path)
    fleet.more_env = clock.environment
    found, seconds = ran(
        *(fleet, clock, form), lambda scheduler: scheduler.said("The clock was set back") > 0
    )
    runs = most_runs(fleet)
    times = len(jumps(form))
    told(
        found, f"workers' and scheduler's clocks jump x {times}", most_runs=runs, settled_s=seconds
    )
    assert runs == 1
