"""Leases of real work: kept while the worker lives, whatever the work is doing."""

import psycopg
import pytest

from tests.support.faults import Fleet
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(120)


def runs(fleet: Fleet) -> list[tuple[int, int, int]]:
    """Return (place, runs, bad runs) of every task."""
    with psycopg.connect(fleet.settings.database) as connection:
        return connection.execute("SELECT seq, attempt, strikes FROM tasks ORDER BY seq").fetchall()


def test_task_that_outlives_its_lease_is_run_once(fleet: Fleet) -> None:
    with running(fleet.worker(), fleet.scheduler()):
        fleet.submit(1, pause_s=3.5 * fleet.settings.lease_s)
        assert fleet.settled(within_s=30).sound
    assert runs(fleet) == [(0, 1, 0)]


def test_ended_task_is_not_lost_while_its_neighbour_takes_long(fleet: Fleet) -> None:
    """Endings are written together; until then they are leased, too."""
    with running(fleet.worker(), fleet.scheduler()):
        fleet.submit(5, slow={1: 3 * fleet.settings.lease_s})
        found = fleet.settled(within_s=30)
    assert found.sound, found.line("slow neighbour")
    assert runs(fleet) == [(place, 1, 0) for place in range(5)]


def test_ended_task_is_shown_while_its_neighbour_takes_long(fleet: Fleet) -> None:
    with running(fleet.worker(), fleet.scheduler()):
        fleet.submit(5, slow={1: 60.0})
        eventually(lambda: fleet.recount().succeeded == 1, within_s=10)
    assert max(bad for _, _, bad in runs(fleet)) == 0
