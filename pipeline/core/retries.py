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


#: An outage is borne for so many of the longest pauses: one hour by default.
OUTAGE_PAUSES = 6


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows a bad end: ``pending`` after ``delay_s``, or ``failed``.

    ``forgiven``: the run is not counted.
    """

    state: TaskState
    delay_s: float = 0.0
    forgiven: bool = False


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
    return Decision(TaskState.PENDING, pause_s(strikes, settings, spread=spread))


def pause_s(strikes: int, settings: Settings, *, spread: float | None = None) -> float:
    """Return how long a task waits after its ``strikes``-th bad end."""
    return _spread(settings.backoff_s * 2 ** (strikes - 1), settings, spread)


def bear(
    reason: Reason, strikes: int, since_s: float, settings: Settings, *, spread: float | None = None
) -> Decision:
    """Return what follows a bad end that is not the work's fault: its storage is full or away.

    The work began ``since_s`` ago. Such runs are forgiven for ``OUTAGE_PAUSES`` of the longest
    pauses, each pause half of what it has lasted; then they count as any other bad end.
    """
    if since_s >= OUTAGE_PAUSES * settings.backoff_max_s:
        return decide(reason, strikes, settings, spread=spread)
    lasting_s = max(settings.backoff_s, since_s / 2)
    return Decision(TaskState.PENDING, _spread(lasting_s, settings, spread), forgiven=True)


def _spread(whole_s: float, settings: Settings, spread: float | None) -> float:
    spread = random.random() if spread is None else spread
    return min(settings.backoff_max_s, whole_s) * (0.5 + spread / 2)
