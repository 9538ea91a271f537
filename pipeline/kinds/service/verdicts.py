"""What follows the end of a call's run: done, again, failed. Pure."""

import random

from pipeline.core import retries
from pipeline.core.retries import Decision
from pipeline.core.tasks import Claim
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.registry import Limits
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState

#: The longest that a service may have its tasks wait.
MOST_PAUSE_S = 86_400.0
#: Calls that found no room look again after so long, and so long after one another.
WAIT_FIRST_S, WAIT_EACH_S = 5.0, 0.25


def decide(
    answer: Answer,
    claim: Claim,
    limits: Limits,
    settings: Settings,
    *,
    since_s: float = 0.0,
    has_moved: bool = False,
) -> Decision | None:
    """Return what follows a bad end; None where the machine's own rules do (a time limit).

    A service that the other side has put off (``shared``) is forgiven for an hour: that is nobody's
    fault. ``since_s``: so long ago the task's first run began. So is one that asks to go on later
    and has left a checkpoint (``has_moved``): it does long work in pieces.
    """
    if answer.reason is None or answer.reason is Reason.TIME_LIMIT:
        return None
    if not answer.again:
        return Decision(TaskState.FAILED)
    strikes, after_s = claim.strikes + 1, min(answer.after_s or 0.0, MOST_PAUSE_S)
    outage_s = retries.OUTAGE_PAUSES * settings.backoff_max_s
    is_forgiven = (answer.shared and since_s < outage_s) or (answer.is_asked and has_moved)
    if strikes >= limits.max_attempts and not is_forgiven:
        return Decision(TaskState.FAILED)
    delay_s = max(after_s, retries.pause_s(strikes, settings))
    return Decision(TaskState.PENDING, delay_s, forgiven=is_forgiven)


def of_late(answer: Answer, limits: Limits) -> Answer:
    """Return how a call ended that was over its soft limit: well, or for that reason."""
    if answer.reason is None:
        return answer
    told = f"It ran longer than its soft limit ({limits.soft_time_limit_s:g} s)."
    return Answer(None, Reason.TIME_LIMIT, told)


def too_long(limit_s: float) -> Answer:
    """Return how a call ended that was over its hard limit."""
    return Answer(None, Reason.TIME_LIMIT, f"It ran longer than its limit ({limit_s:g} s).")


def wait_s(least_s: float, waiting: int, limits: Limits, *, spread: float | None = None) -> float:
    """Return after how long a call that found no room looks again by itself.

    So many of its service wait; however many they are, about as many come in a second as its rate
    lets begin, or a few where a slot that is given back has one come anyway.
    """
    each_s = WAIT_EACH_S if limits.rate_per_s is None else 1 / limits.rate_per_s
    first_s = WAIT_FIRST_S if limits.concurrency is not None else 0.0
    spread = random.random() if spread is None else spread
    return max(least_s, first_s) + spread * waiting * each_s
