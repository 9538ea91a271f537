"""Every write of a task's or job's state: compare-and-set, with its event, in one transaction.

A write that touches no row is an answer ("somebody else was first"), never an error. All of these
may run twice: an ambiguous commit is settled by running the same call again.

Lock order, everywhere: tasks before their job.
"""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.clock import new_id
from pipeline.states import JobState, Reason, TaskState
from pipeline.store.database import as_json, dialect, execute, transaction

ENDED = ("succeeded", "failed", "timed_out", "cancelled")

#: The reason of a job that ended with its tasks.
END_REASONS = {
    JobState.FAILED: Reason.ERROR,
    JobState.TIMED_OUT: Reason.DEADLINE,
    JobState.CANCELLED: Reason.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """A task leased to this process: ``attempt`` is the token that its close must show."""

    id: uuid.UUID
    seq: int
    name: str
    attempt: int
    strikes: int
    size_bytes: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a task ended; ``pending`` hands it back, due after ``delay_s``."""

    task_id: uuid.UUID
    attempt: int
    state: TaskState
    reason: Reason | None = None
    message: str = ""
    result_key: str | None = None
    delay_s: float = 0.0
    strike: bool = False


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to insert; with ``state`` it has already ended (reused result, unreadable entry)."""

    seq: int
    name: str
    size_bytes: int
    payload: dict[str, Any]
    state: TaskState = TaskState.PENDING
    reason: Reason | None = None
    message: str = ""
    result_key: str | None = None
    id: uuid.UUID = field(default_factory=new_id)


def record(
    job_id: uuid.UUID,
    subject: str,
    from_state: str | None,
    to_state: str,
    *,
    actor: str,
    reason: str | None = None,
    message: str = "",
    tasks: list[int] | None = None,
) -> None:
    """Write the event row of a transition; call it inside the transition's transaction."""
    execute(
        "INSERT INTO events (job_id, at, actor, subject, from_state, to_state, reason, message,"
        f" tasks) VALUES (%s, {dialect().now}, %s, %s, %s, %s, %s, %s, %s)",
        *(job_id.hex, actor, subject, from_state, to_state, reason, clean(message)),
        None if tasks is None else as_json(runs(tasks)),
    )


def runs(seqs: Sequence[int]) -> list[list[int]]:
    """Return sorted whole numbers as closed runs: ``[1, 2, 3, 7]`` is ``[[1, 3], [7, 7]]``."""
    found: list[list[int]] = []
    for seq in sorted(seqs):
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


def claim_tasks(
    job_id: uuid.UUID, task_ids: Sequence[str], *, worker: str, lease_s: float
) -> list[Claim]:
    """Lease those of the tasks that are due to this worker, largest first.

    Tasks of a job that is cancelled or past its deadline are not given out.
    """
    sql = dialect()
    with transaction():
        rows = execute(
            f"""
            UPDATE tasks SET state = 'running', attempt = attempt + 1, worker = %s,
                lease_until = {sql.later("%s")}, started_at = COALESCE(started_at, {sql.now}),
                hinted_at = COALESCE(hinted_at, {sql.now}), batch = COALESCE(batch, %s)
            WHERE {sql.among("id")} AND state = 'pending' AND not_before <= {sql.now}
                AND job_id = (SELECT id FROM jobs WHERE id = %s AND state = 'running'
                              AND cancel_requested_at IS NULL
                              AND (deadline_at IS NULL OR deadline_at > {sql.now}))
            RETURNING id, seq, name, attempt, strikes, size_bytes, payload
            """,
            *(worker, lease_s, new_id().hex),
            sql.ids(map(uuid.UUID, task_ids)),
            job_id.hex,
        )
        if rows:
            seqs = [row[1] for row in rows]
            record(job_id, "tasks", "pending", "running", actor=worker, tasks=seqs)
    claims = [Claim(_uuid(row[0]), *row[1:6], json.loads(row[6])) for row in rows]
    return sorted(claims, key=lambda claim: (-claim.size_bytes, claim.seq))


def renew(claims: Sequence[Claim], *, lease_s: float) -> set[uuid.UUID]:
    """Extend the leases that are still ours; return the ids of those."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE tasks SET lease_until = {sql.later('%s')}"
            f" FROM {sql.rows({'id': 'uuid', 'attempt': 'int'})}"
            " WHERE tasks.id = r.id AND tasks.attempt = r.attempt AND tasks.state = 'running'"
            " RETURNING tasks.id",
            lease_s,
            as_json([{"id": claim.id.hex, "attempt": claim.attempt} for claim in claims]),
        )
    return {_uuid(row[0]) for row in rows}


def close_tasks(
    job_id: uuid.UUID, outcomes: Sequence[Outcome], *, actor: str, lapsed_only: bool = False
) -> bool:
    """Close (or hand back) the tasks that are still held, and the job when none is left open.

    Counters move by what really changed. Returns True for exactly one caller per job: the one that
    ended it. With ``lapsed_only`` a task whose lease was renewed meanwhile is left alone.
    """
    if not outcomes:
        return False
    sql = dialect()
    columns = {
        **{"id": "uuid", "attempt": "int", "state": "text", "reason": "text", "message": "text"},
        **{"result_key": "text", "delay_s": "float8", "strike": "int"},
    }
    with transaction():
        rows = execute(
            f"""
            UPDATE tasks SET state = r.state, reason = r.reason, message = r.message,
                result_key = r.result_key, worker = NULL, lease_until = NULL,
                strikes = tasks.strikes + r.strike,
                finished_at = CASE WHEN r.state = 'pending' THEN NULL ELSE {sql.now} END,
                not_before = CASE WHEN r.state = 'pending' THEN {sql.later("r.delay_s")}
                                  ELSE tasks.not_before END,
                hinted_at = CASE WHEN r.state = 'pending' THEN NULL ELSE tasks.hinted_at END,
                batch = CASE WHEN r.state = 'pending' THEN NULL ELSE tasks.batch END
            FROM {sql.rows(columns)}
            WHERE tasks.id = r.id AND tasks.attempt = r.attempt AND tasks.state = 'running'
                {f"AND tasks.lease_until < {sql.now}" if lapsed_only else ""}
            RETURNING tasks.seq, tasks.state, tasks.reason
            """,
            as_json([_as_row(outcome) for outcome in outcomes]),
        )
        _record_tasks(job_id, "running", rows, actor)
        return _roll_up(job_id, Counter(row[1] for row in rows), actor=actor)


def insert_tasks(
    job_id: uuid.UUID, attempt: int, tasks: Sequence[NewTask], *, actor: str
) -> int | None:
    """Insert the tasks that are not there yet (by place in the job); return how many were new.

    A plan that is run again inserts only what it had not reached. None when the job is no longer
    being planned under this attempt.
    """
    sql = dialect()
    columns = {
        **{"id": "uuid", "seq": "int", "name": "text", "state": "text", "reason": "text"},
        **{"message": "text", "size_bytes": "bigint", "payload": "text", "result_key": "text"},
    }
    with transaction():
        if not execute(
            "SELECT 1 FROM jobs WHERE id = %s AND attempt = %s AND state = 'running'"
            f" AND planned_at IS NULL {'FOR UPDATE' if sql.postgres else ''}",
            *(job_id.hex, attempt),
        ):
            return None
        rows = execute(
            f"""
            INSERT INTO tasks (id, job_id, seq, name, state, reason, message, size_bytes, payload,
                               result_key, not_before, finished_at)
            SELECT r.id, {"%s::uuid" if sql.postgres else "%s"}, r.seq, r.name, r.state, r.reason,
                r.message, r.size_bytes, r.payload, r.result_key, {sql.now},
                CASE WHEN r.state = 'pending' THEN NULL ELSE {sql.now} END
            FROM {sql.rows(columns)} WHERE 1 = 1
            ON CONFLICT (job_id, seq) DO NOTHING
            RETURNING seq, state, reason
            """,
            job_id.hex,
            as_json([_new_row(task) for task in tasks]),
        )
        _record_tasks(job_id, None, rows, actor)
        ended = Counter(row[1] for row in rows if row[1] != "pending")
        reused = sum(row[2] == Reason.REUSED for row in rows)
        _roll_up(job_id, ended, added=len(rows), reused=reused, actor=actor)
    return len(rows)


def close_pending(job_id: uuid.UUID, state: TaskState, reason: Reason, message: str, *, actor: str) -> bool:
    """Close every pending task of the job at once; True for the caller that ended the job."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE tasks SET state = %s, reason = %s, message = %s, finished_at = {sql.now}"
            " WHERE job_id = %s AND state = 'pending' RETURNING seq, state, reason",
            *(state, reason, message, job_id.hex),
        )
        _record_tasks(job_id, "pending", rows, actor)
        return _roll_up(job_id, Counter(row[1] for row in rows), actor=actor)


def claim_job(job_id: uuid.UUID, *, phase: str, worker: str, lease_s: float) -> int | None:
    """Lease the job's planning (``plan``) or finishing (``finish``); return its attempt, or None."""
    sql = dialect()
    due = (
        "state IN ('pending', 'running') AND planned_at IS NULL AND cancel_requested_at IS NULL"
        if phase == "plan"
        else "finished_at IS NOT NULL AND finalized_at IS NULL"
    )
    with transaction():
        rows = execute(
            f"""
            UPDATE jobs SET attempt = attempt + 1, worker = %s, lease_until = {sql.later("%s")},
                started_at = COALESCE(started_at, {sql.now}), hinted_at = {sql.now},
                stage = {"'planning'" if phase == "plan" else "'reporting'"},
                state = CASE WHEN state = 'pending' THEN 'running' ELSE state END
            WHERE id = %s AND {due} AND not_before <= {sql.now}
                AND (lease_until IS NULL OR lease_until < {sql.now})
            RETURNING attempt, state
            """,
            *(worker, lease_s, job_id.hex),
        )
        if not rows:
            return None
        if phase == "plan":
            record(job_id, "job", "pending", "running", actor=worker)
        return int(rows[0][0])


def renew_job(job_id: uuid.UUID, attempt: int, *, lease_s: float) -> bool:
    """Extend the lease on the job's planning or finishing; False when it is no longer ours."""
    sql = dialect()
    with transaction():
        return bool(
            execute(
                f"UPDATE jobs SET lease_until = {sql.later('%s')}"
                " WHERE id = %s AND attempt = %s AND lease_until IS NOT NULL RETURNING id",
                *(lease_s, job_id.hex, attempt),
            )
        )


def planned(job_id: uuid.UUID, attempt: int, *, stage: str, actor: str) -> bool:
    """All tasks of the job are inserted; True when that ended it (nothing is left open)."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE jobs SET planned_at = {sql.now}, stage = %s, worker = NULL, lease_until = NULL,"
            " attempt = 0, hinted_at = NULL WHERE id = %s AND attempt = %s AND state = 'running'"
            " AND planned_at IS NULL RETURNING id",
            *(stage, job_id.hex, attempt),
        )
        return bool(rows) and _roll_up(job_id, Counter(), actor=actor)


def put_back_job(job_id: uuid.UUID, attempt: int, delay_s: float, message: str, *, actor: str) -> None:
    """Release the lease on planning or finishing; it is due again after ``delay_s``."""
    sql = dialect()
    with transaction():
        rows = execute(
            "UPDATE jobs SET worker = NULL, lease_until = NULL, hinted_at = NULL, message = %s,"
            f" not_before = {sql.later('%s')} WHERE id = %s AND attempt = %s"
            " AND lease_until IS NOT NULL RETURNING state",
            *(message, delay_s, job_id.hex, attempt),
        )
        for (state,) in rows:
            record(job_id, "job", state, state, actor=actor, message=message)


def end_unplanned(
    job_id: uuid.UUID, state: JobState, reason: Reason, message: str, *, actor: str
) -> bool:
    """End a job whose plan cannot be completed; its pending tasks close as cancelled."""
    sql = dialect()
    close_pending(job_id, TaskState.CANCELLED, reason, message, actor=actor)
    with transaction():
        rows = execute(
            f"""
            UPDATE jobs SET state = %s, reason = %s, message = %s, planned_at = {sql.now},
                finished_at = {sql.now}, worker = NULL, lease_until = NULL, attempt = 0,
                hinted_at = {sql.now}, not_before = {sql.now}
            WHERE id = %s AND planned_at IS NULL AND state IN ('pending', 'running')
                AND succeeded + failed + timed_out + cancelled = total RETURNING id
            """,
            *(state, reason, message, job_id.hex),
        )
        if rows:
            record(job_id, "job", "running", state, actor=actor, reason=reason, message=message)
            return True
        # Tasks still run: the rollup that closes the last of them ends the job.
        execute(
            f"UPDATE jobs SET planned_at = {sql.now}, reason = %s, message = %s, worker = NULL,"
            " lease_until = NULL, attempt = 0 WHERE id = %s AND planned_at IS NULL"
            " AND state IN ('pending', 'running')",
            *(reason, message, job_id.hex),
        )
    return False


def request_cancel(job_id: uuid.UUID, *, actor: str) -> bool:
    """Note that the job is to be cancelled; False when it has ended or was cancelled before."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE jobs SET cancel_requested_at = {sql.now} WHERE id = %s"
            " AND cancel_requested_at IS NULL AND finished_at IS NULL RETURNING state",
            job_id.hex,
        )
        for (state,) in rows:
            record(job_id, "job", state, state, actor=actor, message="cancel requested")
        return bool(rows)


def finalized(job_id: uuid.UUID, attempt: int, result: dict[str, Any], *, actor: str) -> bool:
    """The job's reports are written; False when another run was first."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE jobs SET finalized_at = {sql.now}, result = %s, stage = 'done', worker = NULL,"
            " lease_until = NULL WHERE id = %s AND attempt = %s AND finalized_at IS NULL"
            " AND finished_at IS NOT NULL RETURNING state",
            *(as_json(result), job_id.hex, attempt),
        )
        for (state,) in rows:
            record(job_id, "job", state, state, actor=actor, message="reports written")
        return bool(rows)


def _roll_up(
    job_id: uuid.UUID, ended: Counter[str], *, actor: str, added: int = 0, reused: int = 0
) -> bool:
    """Move the job's counters and end it when nothing is open; call it inside a transaction."""
    sql = dialect()
    rows = execute(
        "UPDATE jobs SET total = total + %s, reused = reused + %s, succeeded = succeeded + %s,"
        " failed = failed + %s, timed_out = timed_out + %s, cancelled = cancelled + %s"
        " WHERE id = %s RETURNING state, reason, message, total, succeeded, failed, timed_out,"
        f" cancelled, planned_at IS NOT NULL, cancel_requested_at IS NOT NULL,"
        f" COALESCE(deadline_at < {sql.now}, {'false' if sql.postgres else '0'})",
        *(added, reused, *(ended[state] for state in ENDED), job_id.hex),
    )
    if not rows:
        return False
    state, reason, message, total, *counts, is_planned, is_cancelled, is_late = rows[0]
    if state != JobState.RUNNING or not is_planned or sum(counts) != total:
        return False
    by_state = dict(zip(ENDED, counts, strict=True))
    if reason:
        end = broken_off(Reason(reason), by_state)
    else:
        end = end_state(by_state, cancelled=is_cancelled, late=is_late)
        reason = END_REASONS.get(end)
    message = message or _sentence(by_state)
    execute(
        f"UPDATE jobs SET state = %s, reason = %s, message = %s, finished_at = {sql.now},"
        f" attempt = 0, hinted_at = {sql.now}, not_before = {sql.now} WHERE id = %s"
        " AND state = 'running'",
        *(end, reason, message, job_id.hex),
    )
    record(job_id, "job", "running", end, actor=actor, reason=reason, message=message)
    return True


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


def clean(text: str) -> str:
    """Return the text as a database takes it: no NUL, no lone surrogate, at most 2,000 characters."""
    return text[:2000].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _sentence(counts: dict[str, int]) -> str:
    if not sum(counts.values()):
        return "There was nothing to do."
    told = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number)
    return f"{sum(counts.values())} tasks: {told}."


def _record_tasks(
    job_id: uuid.UUID, from_state: str | None, rows: list[tuple[Any, ...]], actor: str
) -> None:
    groups: dict[tuple[str, str | None], list[int]] = {}
    for seq, state, reason in rows:
        groups.setdefault((state, reason), []).append(seq)
    for (state, reason), seqs in groups.items():
        record(job_id, "tasks", from_state, state, actor=actor, reason=reason, tasks=seqs)


def _as_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.task_id.hex,
        "attempt": outcome.attempt,
        "state": outcome.state,
        "reason": outcome.reason,
        "message": clean(outcome.message),
        "result_key": outcome.result_key,
        "delay_s": outcome.delay_s,
        "strike": int(outcome.strike),
    }


def _new_row(task: NewTask) -> dict[str, Any]:
    return {
        "id": task.id.hex,
        "seq": task.seq,
        "name": clean(task.name),
        "state": task.state,
        "reason": task.reason,
        "message": clean(task.message),
        "size_bytes": task.size_bytes,
        "payload": as_json(task.payload),
        "result_key": task.result_key,
    }


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
