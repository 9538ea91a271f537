"""Named points between two steps, at which a test can end the process or hold it.

Nothing in production arms one: no setting, no variable, no message. A test's own actor module
calls ``arm`` before it is handed to ``dramatiq``.
"""

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """Where rows and messages can disagree, if a process ends there."""

    SUBMITTED = "submitted"  # the job's row is committed, nobody is rung
    PLAN_CLAIMED = "plan_claimed"  # the planning is leased, nothing is planned
    INSERTED = "inserted"  # tasks are committed, none is sent
    CHOSEN = "chosen"  # batches are noted as sent, and are not
    PLANNED = "planned"  # the plan is committed, what follows is not sent
    CLAIMED = "claimed"  # a batch is leased, nothing is done
    WORKED = "worked"  # a task's work is done, its close is not
    STORED = "stored"  # results are stored, their tasks are not closed
    CLOSED = "closed"  # tasks and perhaps their job are closed, nobody is told
    ANNOUNCED = "announced"  # the finish message is sent, the batch's message is not acknowledged
    FINISH_CLAIMED = "finish_claimed"  # the reports are leased, none is written
    REPORTED = "reported"  # the reports are written, the job does not know
    FINALIZED = "finalized"  # all is done, the finish message is not acknowledged
    PLACED = "placed"  # a task has its host, nothing is there yet
    LOOKED = "looked"  # its host was asked, nothing is created
    CREATED = "created"  # its container is there, not started
    STARTED = "started"  # it runs, its task is still this worker's
    DETACHED = "detached"  # it runs outside, the message is not acknowledged
    END_CLAIMED = "end_claimed"  # its end is this worker's to collect, nothing is kept
    KEPT = "kept"  # log and output are stored, its task is not closed
    REMOVED = "removed"  # its task is closed and it is gone, its row does not know
    RECOVERED = "recovered"  # the sweep has closed lost tasks, nobody is told


#: Reached only where work goes on outside of workers, in containers.
OUTSIDE = frozenset(
    {
        *(Point.PLACED, Point.LOOKED, Point.CREATED, Point.STARTED, Point.DETACHED),
        *(Point.END_CLAIMED, Point.KEPT, Point.REMOVED),
    }
)

_act: Callable[[Point], None] | None = None


def arm(act: Callable[[Point], None] | None) -> None:
    """Call ``act`` at every point from now on; ``None`` disarms."""
    global _act
    _act = act


def reach(point: Point) -> None:
    """Say that this point is reached."""
    if _act is not None:
        _act(point)
