"""Counts a job's ended tasks and ends the job, exactly once, inside the closer's transaction."""

import uuid
from collections import Counter
from dataclasses import dataclass

from pipeline.core.history import record
from pipeline.states import JobState, Reason
from pipeline.store import changes
from pipeline.store.database import dialect, execute

ENDED = ("succeeded", "failed", "timed_out", "cancelled")

#: The reason of a job that ended with its tasks.
END_REASONS = {
    JobState.FAILED: Reason.ERROR,
    JobState.TIMED_OUT: Reason.DEADLINE,
    JobState.CANCELLED: Reason.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Rolled:
    """The kind of the job whose counters were moved, and how that ended it, if it did."""

    kind: str
    end: JobState | None = None
    reason: str | None = None


def roll_up(
    job_id: uuid.UUID, ended: Counter[str], *, actor: str, added: int = 0, reused: int = 0
) -> Rolled | None:
    """Move the job's counters and end it when nothing is open; call it inside a transaction.

    None when the job is gone.
    """
    sql = dialect()
    changes.note(job_id)
    rows = execute(
        "UPDATE jobs SET total = total + %s, reused = reused + %s, succeeded = succeeded + %s,"
        " failed = failed + %s, timed_out = timed_out + %s, cancelled = cancelled + %s"
        " WHERE id = %s RETURNING kind, state, reason, message, total, succeeded, failed,"
        f" timed_out, cancelled, planned_at IS NOT NULL, cancel_requested_at IS NOT NULL,"
        f" COALESCE(deadline_at < {sql.now}, {'false' if sql.postgres else '0'})",
        *(added, reused, *(ended[state] for state in ENDED), job_id.hex),
    )
    if not rows:
        return None
    kind, state, reason, message, total, *counts, is_planned, is_cancelled, is_late = rows[0]
    if state != JobState.RUNNING or not is_planned or sum(counts) != total:
        return Rolled(kind)
    by_state = dict(zip(ENDED, counts, strict=True))
    if reason:
        end = broken_off(Reason(reason), by_state)
    else:
        end = end_state(by_state, cancelled=is_cancelled, late=is_late)
        reason, told = _why(job_id, end, late=is_late)
        message = message or (told if total == 1 else "")
    message = message or _sentence(by_state)
    execute(
        f"UPDATE jobs SET state = %s, reason = %s, message = %s, finished_at = {sql.now},"
        f" attempt = 0, hinted_at = {sql.now}, not_before = {sql.now} WHERE id = %s"
        " AND state = 'running'",
        *(end, reason, message, job_id.hex),
    )
    record(job_id, "job", "running", end, actor=actor, reason=reason, message=message)
    return Rolled(kind, end, reason)


def _why(job_id: uuid.UUID, end: JobState, *, late: bool) -> tuple[Reason | str | None, str]:
    """Return the reason of a job that ended with its tasks, and a message of theirs.

    Where all of them ended badly for one reason, that is the job's, too; what needed them and was
    not begun does not count.
    """
    if end is JobState.FAILED or (end is JobState.TIMED_OUT and not late):
        rows = execute(
            "SELECT reason, max(message) FROM tasks WHERE job_id = %s"
            " AND COALESCE(reason, '') <> %s GROUP BY reason LIMIT 2",
            *(job_id.hex, Reason.NEED_FAILED),
        )
        if len(rows) == 1 and rows[0][0]:
            return rows[0]
    return END_REASONS.get(end), ""


def end_state(counts: dict[str, int], *, cancelled: bool = False, late: bool = False) -> JobState:
    """Return how a job ended from how its tasks did; a job of zero tasks succeeded."""
    if cancelled and counts["cancelled"]:
        return JobState.CANCELLED
    if late and counts["timed_out"]:
        return JobState.TIMED_OUT
    bad = sum(counts.values()) - counts["succeeded"]
    if not bad:
        return JobState.SUCCEEDED
    if counts["succeeded"]:
        return JobState.PARTIAL
    only = next((state for state in ENDED if counts[state] == bad), "failed")
    return JobState(only)


def broken_off(reason: Reason, counts: dict[str, int]) -> JobState:
    """Return how a job ended whose plan broke off for ``reason`` while tasks of it ran."""
    if reason is Reason.CANCELLED:
        return JobState.CANCELLED
    if reason is Reason.DEADLINE:
        return JobState.TIMED_OUT
    return JobState.PARTIAL if counts["succeeded"] else JobState.FAILED


def _sentence(counts: dict[str, int]) -> str:
    if not sum(counts.values()):
        return "There was nothing to do."
    told = ", ".join(
        f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number
    )
    return f"{sum(counts.values())} tasks: {told}."
