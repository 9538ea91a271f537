"""What a container's end means: a state, a reason, and whether it runs again. Pure."""

import signal
from dataclasses import dataclass
from datetime import datetime

from pipeline.adapters.engines.model import Seen
from pipeline.core import retries
from pipeline.core.executions import Execution
from pipeline.core.hosts import Host
from pipeline.kinds.container.spec import Common
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState

#: Reason of a stop that the container's own word has brought about: it said that it was done.
COMPLETED = "completed"

#: Ends that are not the program's answer: another run may bring one.
LOSSES = frozenset(
    {Reason.HEARTBEAT_LOST, Reason.HOST_LOST, Reason.REMOVED, Reason.KILLED, Reason.CRASHED}
)
STOPS = {
    Reason.CANCELLED: (TaskState.CANCELLED, "The job was cancelled."),
    Reason.DEADLINE: (TaskState.TIMED_OUT, "The job's deadline passed."),
    Reason.TIME_LIMIT: (TaskState.TIMED_OUT, "It ran longer than its timeout_s ({0:g} s)."),
}
#: Signals that tell of a fault of the program.
FAULTS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"})
#: Signals that others send. A collector that gets TERM still says how far it came.
FROM_OUTSIDE = frozenset({"SIGTERM", "SIGKILL"})
SIGNALLED = 128
#: Exit codes of whatever runs a command, where that is not to be had.
MEANINGS = {126: " (a command could not be run)", 127: " (a command was not found)"}


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended; ``delay_s`` is set when the task runs again after it."""

    state: TaskState
    reason: Reason | None = None
    message: str = ""
    delay_s: float | None = None


def end_of(
    seen: Seen | None, execution: Execution, task: Common, host: Host, settings: Settings
) -> End:
    """Return what the end means; ``seen`` is None when the container is gone."""
    end = _judged(seen, execution, task, host)
    code = seen.exit_code if seen else None
    may_mend = end.reason in LOSSES or (
        end.reason is Reason.EXIT_CODE and code in task.retry_exit_codes
    )
    if end.state is not TaskState.FAILED or not may_mend:
        return end
    strikes = execution.strikes + 1
    if strikes >= task.max_attempts:
        return end
    delay_s = retries.pause_s(strikes, settings)
    return End(TaskState.PENDING, end.reason, end.message, delay_s)


def _judged(seen: Seen | None, execution: Execution, task: Common, host: Host) -> End:
    stop = execution.stop_reason
    if stop in STOPS:
        state, sentence = STOPS[Reason(stop)]
        return End(state, Reason(stop), sentence.format(task.timeout_s))
    if stop == Reason.HEARTBEAT_LOST:
        limit_s = task.heartbeat_timeout_s
        sentence = f"It was silent for longer than its heartbeat_timeout_s ({limit_s:g} s)."
        return End(TaskState.FAILED, Reason.HEARTBEAT_LOST, sentence)
    if seen is None:
        return End(TaskState.FAILED, Reason.REMOVED, "The container was removed from outside.")
    if stop == Reason.KILLED:
        return End(TaskState.FAILED, Reason.ERROR, "It was killed on request.")
    if stop == COMPLETED or not seen.exit_code:
        return _by_its_word(seen, execution)
    return _by_exit_code(seen, seen.exit_code, execution, host)


def _by_its_word(seen: Seen, execution: Execution) -> End:
    if execution.success is False:
        return End(TaskState.FAILED, Reason.ERROR, execution.error or "It said that it failed.")
    if seen.oom_killed:
        return End(TaskState.SUCCEEDED, None, "One of its processes ran out of memory.")
    return End(TaskState.SUCCEEDED)


def _by_exit_code(seen: Seen, code: int, execution: Execution, host: Host) -> End:
    if seen.oom_killed:
        sentence = f"It ran out of memory (exit code {code})."
        return End(TaskState.FAILED, Reason.OUT_OF_MEMORY, sentence)
    name = _signal(code)
    if name and _went_with_host(seen.finished_at, host):
        sentence = f"The host {host.name} went away and took it along (exit code {code})."
        return End(TaskState.FAILED, Reason.HOST_LOST, sentence)
    if name in FAULTS:
        return End(TaskState.FAILED, Reason.CRASHED, f"It crashed: {name} (exit code {code}).")
    if name in FROM_OUTSIDE or (name and not execution.error):
        told = f" It said: {execution.error}" if execution.error else ""
        sentence = f"It was ended from outside: {name} (exit code {code}).{told}"
        return End(TaskState.FAILED, Reason.KILLED, sentence)
    sentence = execution.error or f"It ended with exit code {code}{MEANINGS.get(code, '')}."
    return End(TaskState.FAILED, Reason.EXIT_CODE, sentence)


def _signal(code: int) -> str:
    try:
        return signal.Signals(code - SIGNALLED).name if code > SIGNALLED else ""
    except ValueError:
        return ""


def _went_with_host(finished_at: datetime | None, host: Host) -> bool:
    """Tell whether the end fell into the time in which the host did not answer.

    A daemon that restarts ends its containers just before it goes, or as it comes.
    """
    if finished_at is None or host.came_back_at is None:
        return False
    return abs((host.came_back_at - finished_at).total_seconds()) < AROUND_S


#: A daemon's restart lasts no longer, from the end of its containers to its first answer.
AROUND_S = 120.0
