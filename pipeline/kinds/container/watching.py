"""What is to be done about one execution, given what its host says of it. Pure."""

from enum import StrEnum

from pipeline.adapters.engines.model import Seen
from pipeline.core.executions import Execution
from pipeline.kinds.container.ending import COMPLETED
from pipeline.kinds.container.spec import Common
from pipeline.states import TERMINAL_TASK, Reason

#: So long after its word that it is done a container may still run.
LINGER_S = 30.0
#: A stop that did not come about is asked for again so long after its grace.
STOP_AGAIN_S = 20.0


class Step(StrEnum):
    """What is to be done."""

    KEEP = "keep"  # it runs: its lease is renewed
    WAIT = "wait"  # somebody else has it
    COLLECT = "collect"  # it has ended, or what is left of it is to go


def step_of(execution: Execution, seen: Seen | None) -> Step:
    """Return what is to be done about it, stops aside."""
    if not execution.is_current:
        # A task that waits for its next run: whoever launches that finds what is there.
        is_over = execution.ended_at is not None or execution.state in TERMINAL_TASK
        return Step.COLLECT if is_over else Step.WAIT
    if execution.ended_at is not None:
        return Step.COLLECT
    if seen is None:
        return Step.WAIT if execution.launched_at is None else Step.COLLECT
    if seen.has_ended:
        return Step.COLLECT
    # Created and not started: its launcher has it, or the lapse of that lease finds it.
    return Step.WAIT if seen.state == "created" else Step.KEEP


def why_stop(execution: Execution, task: Common) -> str | None:
    """Return why a running container is to be stopped now; None when it is not."""
    told = execution.stop_reason
    if told is not None:
        waited_s = execution.age_s(execution.stop_requested_at)
        return told if waited_s > task.stop_grace_s + STOP_AGAIN_S else None
    if execution.cancel_requested:
        return Reason.CANCELLED
    if execution.is_late:
        return Reason.DEADLINE
    if execution.age_s(execution.launched_at) > task.timeout_s:
        return Reason.TIME_LIMIT
    if execution.completed_at is not None:
        return COMPLETED if execution.age_s(execution.completed_at) > LINGER_S else None
    if task.heartbeat_timeout_s and silent_s(execution) > task.heartbeat_timeout_s:
        return Reason.HEARTBEAT_LOST
    return None


def silent_s(execution: Execution) -> float:
    """Return how long this run has said nothing that could be heard.

    An earlier run's heartbeats do not count, nor does the time in which no API took any.
    """
    if execution.launched_at is None:
        return 0.0
    moments = (execution.heartbeat_at, execution.launched_at, execution.listening_since)
    return min(execution.age_s(moment) for moment in moments if moment is not None)
