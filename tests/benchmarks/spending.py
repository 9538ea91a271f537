"""CPU seconds spent so far, by who spent them: what a busy neighbour does not change.

PostgreSQL's are those of the backends of our database; one that ends between two looks takes what
it spent since the last with it.
"""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import psutil

from pipeline.store.database import execute, session
from tests.benchmarks.memory import Series
from tests.benchmarks.service import Service

LINT, MACHINE = "cpu s of the lint processes", "cpu s of workers, scheduler, PostgreSQL"


class Spending:
    """Asked now and then; each answer is {name: seconds since it was made}."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._spent: dict[str, float] = {}
        self._backends: dict[psutil.Process, float] = {}
        self._before = self._look()

    def __call__(self) -> dict[str, float]:
        """Return the seconds spent so far; they never fall."""
        for name, seconds in self._look().items():
            since = seconds - self._before[name]
            self._spent[name] = round(max(self._spent.get(name, 0.0), since), 3)
        return dict(self._spent)

    def _look(self) -> dict[str, float]:
        by_role = self._running.cpu_s()
        self._look_at_backends()
        machine = sum(by_role.get(role, 0.0) for role in ("worker", "schedule"))
        return {LINT: by_role.get("lint", 0.0), MACHINE: machine + sum(self._backends.values())}

    def _look_at_backends(self) -> None:
        with session():
            rows = execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
        for (pid,) in rows:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                times = process.cpu_times()
                self._backends[process] = float(times.user + times.system)


def shares_us(spent: Series, ends_s: list[float], tasks: int) -> list[float]:
    """Return the microseconds per task of each share; ``ends_s`` are the shares' ends."""
    at = [_at(spent, end) for end in [0.0, *ends_s]]
    each = tasks / len(ends_s)
    return [round((end - begin) / each * 1e6) for begin, end in pairwise(at)]


def _at(spent: Series, moment_s: float) -> float:
    """Return the value at a moment between two samples."""
    before: Any = (0.0, 0.0)
    for point in spent.points:
        if point[0] >= moment_s:
            width = point[0] - before[0]
            part = (moment_s - before[0]) / width if width else 1.0
            return float(before[1] + (point[1] - before[1]) * part)
        before = point
    return float(before[1])
