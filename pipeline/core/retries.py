"""Whether and when a task that ended badly runs again; pure, the rows are written elsewhere."""

import random
from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.states import Reason, TaskState

#: Ends that another run may not share. The rest give the same answer again.
RETRYABLE = frozenset(
    {
        Reason.ERROR,
        Reason.WORKER_LOST,
        Reason.CRASHED,
        Reason.HEARTBEAT_LOST,
        Reason.STORAGE,
    }
)

#: A lost worker strikes every task of its batch, the innocent too, so it takes more strikes.
LOST_GRACE = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows a bad end: ``pending`` after ``delay_s``, or ``failed``."""

    state: TaskState
    delay_s: float = 0.0


def decide(
    reason: Reason, strikes: int, settings: Settings, *, spread: float | None = None
) -> Decision:
    """Return what follows the ``strikes``-th bad end (counted from 1) for this reason.

    The pause doubles from ``backoff_s`` to ``backoff_max_s`` and is spread over its upper half, so
    that tasks which failed together do not come back together.
    """
    allowed = settings.max_attempts + (LOST_GRACE if reason is Reason.WORKER_LOST else 0)
    if reason not in RETRYABLE or strikes >= allowed:
        return Decision(TaskState.FAILED)
    pause = min(settings.backoff_max_s, settings.backoff_s * 2 ** (strikes - 1))
    spread = random.random() if spread is None else spread
    return Decision(TaskState.PENDING, pause * (0.5 + spread / 2))
