"""What the rows of services tell Prometheus: who waits for room, how much is taken, what is paused.

Labels are modes and names of services that workers have offered: a submitter makes none.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.row_figures import Collector, Reading, RowFigure
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import moment

_LABELS = ("mode", "service")

WAITING = RowFigure(
    "quayline_service_waiting", "Calls that were put off and wait for room.", _LABELS
)
WAIT_AGE = RowFigure(
    "quayline_service_oldest_wait_seconds",
    "For so long a call has waited for room; 0: none waits.",
    _LABELS,
)
SLOTS = RowFigure("quayline_service_slots_used", "Slots of calls that go on.", _LABELS)
SLOTS_MOST = RowFigure(
    "quayline_service_slots", "Calls that may go on at once, where that is limited.", _LABELS
)
PAUSE = RowFigure(
    "quayline_service_pause_seconds", "For so long no call may begin; 0: any may.", _LABELS
)

FIGURES = (WAITING, WAIT_AGE, SLOTS, SLOTS_MOST, PAUSE)


def collectors() -> list[tuple[str, Collector]]:
    """Return the kind's part of what rows tell."""
    return [("services", services)]


def services(context: Context) -> Iterator[Reading]:
    """Tell it for each service that is offered, also where there is nothing of it."""
    with session():
        offered = execute("SELECT mode, name, limits FROM services")
        # One whose task has ended meanwhile keeps its row until its turn.
        waiting = execute(
            f"SELECT w.mode, w.name, count(*), min(w.since), {dialect().now} FROM service_waits w"
            " JOIN tasks t ON t.id = w.task_id WHERE t.finished_at IS NULL GROUP BY w.mode, w.name"
        )
        taken = execute(
            "SELECT mode, name, count(*) FROM service_slots"
            f" WHERE lease_until >= {dialect().now} GROUP BY mode, name"
        )
        now = dialect().now
        pauses = execute(f"SELECT mode, name, next_at, {now} FROM service_pauses")
    none = {(mode, name): 0.0 for mode, name, _ in offered}
    yield WAITING, none | {(mode, name): number for mode, name, number, *_ in waiting}
    yield WAIT_AGE, none | {(mode, name): _between(*since) for mode, name, _, *since in waiting}
    yield SLOTS, none | {(mode, name): number for mode, name, number in taken}
    yield SLOTS_MOST, dict(_limited(offered))
    yield PAUSE, none | {(mode, name): _between(at, until) for mode, name, until, at in pauses}


def _limited(offered: list[tuple[str, str, str]]) -> Iterator[tuple[tuple[str, str], float]]:
    for mode, name, limits in offered:
        most = documents.loaded(limits).get("concurrency")
        if most is not None:
            yield (mode, name), float(most)


def _between(since: Any, until: Any) -> float:
    return max(0.0, (moment(until) - moment(since)).total_seconds())
