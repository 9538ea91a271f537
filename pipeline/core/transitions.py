"""Every write of a task's or job's state: compare-and-set, with its event, in one transaction.

A write that touches no row is an answer ("somebody else was first"), never an error. All of these
may run twice: an ambiguous commit is settled by running the same call again.

Lock order, everywhere: tasks before their job, several in the order of their ids.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pipeline import metrics
from pipeline.core import needs
from pipeline.core.history import clean, record
from pipeline.core.needs import Ended
from pipeline.core.rollup import Rolled, roll_up
from pipeline.core.tasks import (
    CLAIM,
    Claim,
    Held,
    NewTask,
    Outcome,
    as_claims,
    as_new_row,
    as_row,
)
from pipeline.states import JobState, Reason, TaskState
from pipeline.store.database import (
    as_json,
    as_uuid,
    dialect,
    execute,
    lock,
    session,
    transaction,
)
from pipeline.store.models import IN_FLIGHT


def claim_tasks(
    job_id: uuid.UUID,
    batch: uuid.UUID,
    *,
    worker: str,
    lease_s: float,
    token: str = "",
) -> list[Claim]:
    """Lease those tasks of the batch that are due to this worker, largest first.

    Tasks of a job that is cancelled or past its deadline are not given out. The ``token`` names
    this claim: after an ambiguous commit ``claimed`` tells whether it happened.
    """
    sql = dialect()
    with transaction():
        rows = execute(
            f"""
            UPDATE tasks SET state = 'running', attempt = attempt + 1, worker = %s,
                lease_until = {sql.later("%s")}, started_at = COALESCE(started_at, {sql.now})
            WHERE job_id = %s AND batch = %s AND {IN_FLIGHT}
                AND state = 'pending' AND not_before <= {sql.now}
                AND (SELECT 1 FROM jobs WHERE id = %s AND state = 'running'
                     AND cancel_requested_at IS NULL
                     AND (deadline_at IS NULL OR deadline_at > {sql.now})) = 1
            RETURNING {CLAIM}
            """,
            *(_holder(worker, token), lease_s, job_id.hex, batch.hex, job_id.hex),
        )
        if rows:
            seqs = [row[1] for row in rows]
            record(job_id, "tasks", "pending", "running", actor=worker, tasks=seqs)
    return as_claims(rows)


def claimed(job_id: uuid.UUID, batch: uuid.UUID, *, worker: str, token: str = "") -> list[Claim]:
    """Return the claims that the worker made under the token and holds still."""
    with session():
        rows = execute(
            f"SELECT {CLAIM} FROM tasks WHERE job_id = %s AND batch = %s AND {IN_FLIGHT}"
            " AND state = 'running' AND worker = %s",
            *(job_id.hex, batch.hex, _holder(worker, token)),
        )
    return as_claims(rows)


def _holder(worker: str, token: str) -> str:
    return f"{worker}/{token}" if token else worker


def detach(claim: Claim, *, holder: str, lease_s: float) -> bool:
    """The task goes on outside of workers: ``holder`` has its lease until somebody renews or closes
    it. False when it is no longer ours."""
    sql = dialect()
    with transaction():
        return bool(
            execute(
                f"UPDATE tasks SET detached_at = {sql.now}, worker = %s,"
                f" lease_until = {sql.later('%s')}"
                " WHERE id = %s AND attempt = %s AND state = 'running' RETURNING id",
                *(holder, lease_s, claim.id.hex, claim.attempt),
            )
        )


def renew(claims: Sequence[Held], *, lease_s: float) -> set[uuid.UUID]:
    """Extend the leases that are still ours; return the ids of those."""
    sql = dialect()
    with transaction():
        rows = execute(
            f"UPDATE tasks SET lease_until = {sql.later('%s')}"
            f" FROM {sql.rows({'id': 'uuid', 'attempt': 'int'})}"
            " WHERE tasks.id = r.id AND tasks.attempt = r.attempt AND tasks.state = 'running'"
            " RETURNING tasks.id",
            lease_s,
            as_json(
                [
                    {"id": claim.id.hex, "attempt": claim.attempt}
                    for claim in sorted(claims, key=lambda each: each.id)
                ]
            ),
        )
    return {as_uuid(row[0]) for row in rows}


def make_due(task_ids: Sequence[uuid.UUID]) -> list[str]:
    """What these pending tasks wait for is there: they are due at once; return their jobs' kinds,
    one for each task that was not due before."""
    sql = dialect()
    waiting = f"{sql.among('id')} AND state = 'pending' AND not_before > {sql.now}"
    with transaction():
        rows = execute(
            f"UPDATE tasks SET not_before = {sql.now} WHERE {sql.locked('tasks', waiting)}"
            " RETURNING (SELECT kind FROM jobs WHERE jobs.id = tasks.job_id)",
            sql.ids(task_ids),
        )
    return [kind for (kind,) in rows]


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
            UPDATE tasks SET state = r.state, reason = r.reason,
                message = COALESCE(r.message, ''), result_key = r.result_key, worker = NULL,
                lease_until = NULL, strikes = tasks.strikes + COALESCE(r.strike, 0),
                finished_at = CASE WHEN r.state = 'pending' THEN NULL ELSE {sql.now} END,
                not_before = CASE WHEN r.state = 'pending'
                    THEN {sql.later("COALESCE(r.delay_s, 0)")} ELSE tasks.not_before END,
                hinted_at = CASE WHEN r.state = 'pending' THEN NULL ELSE tasks.hinted_at END,
                batch = CASE WHEN r.state = 'pending' THEN NULL ELSE tasks.batch END,
                detached_at = CASE WHEN r.state = 'pending' THEN NULL ELSE tasks.detached_at END
            FROM {sql.rows(columns)}
            WHERE tasks.id = r.id AND tasks.attempt = r.attempt AND tasks.state = 'running'
                {f"AND tasks.lease_until < {sql.now}" if lapsed_only else ""}
            RETURNING tasks.seq, tasks.state, tasks.reason, tasks.name, tasks.onward
            """,
            as_json([as_row(each) for each in sorted(outcomes, key=lambda each: each.task_id.int)]),
        )
        closed = [row[:3] for row in rows]
        _record_tasks(job_id, "running", closed, actor)
        ended = [
            Ended(seq, state, name, onward)
            for seq, state, _, name, onward in rows
            if onward and state != "pending"
        ]
        counted = [*closed, *_follow(job_id, ended, actor=actor)]
        rolled = roll_up(job_id, Counter(row[1] for row in counted), actor=actor)
    if lapsed_only and rolled:
        metrics.LEASE_LOSSES.add(rolled.kind, by=len(closed))
    return _counted(rolled, counted)


def _follow(job_id: uuid.UUID, ended: Sequence[Ended], *, actor: str) -> list[tuple[Any, ...]]:
    """Let go what needs the tasks that ended, or cancel it: place, state and reason of that."""
    if any(each.stops for each in ended):
        _lock_sending_of(job_id)
    skipped = needs.follow(job_id, ended)
    if not skipped:
        return []
    sql = dialect()
    told = [{"id": each.id.hex, "message": clean(each.message)} for each in skipped]
    rows = execute(
        "UPDATE tasks SET state = 'cancelled', reason = %s, message = r.message, open_needs = 0,"
        f" finished_at = {sql.now} FROM {sql.rows({'id': 'uuid', 'message': 'text'})}"
        " WHERE tasks.id = r.id RETURNING tasks.seq, tasks.state, tasks.reason",
        *(Reason.NEED_FAILED, as_json(told)),
    )
    _record_tasks(job_id, "pending", rows, actor)
    return rows


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
    rolled = None
    with suppress(_PlannedElsewhere), transaction():
        rows = execute(
            f"""
            INSERT INTO tasks (id, job_id, seq, name, state, reason, message, size_bytes, payload,
                               result_key, not_before, finished_at)
            SELECT r.id, {"%s::uuid" if sql.postgres else "%s"}, r.seq, r.name,
                COALESCE(r.state, 'pending'), r.reason, COALESCE(r.message, ''), r.size_bytes,
                r.payload, r.result_key, {sql.now},
                CASE WHEN r.state IS NULL THEN NULL ELSE {sql.now} END
            FROM {sql.rows(columns)} WHERE 1 = 1
            ON CONFLICT (job_id, seq) DO NOTHING
            RETURNING seq, state, reason
            """,
            job_id.hex,
            as_json([as_new_row(task) for task in tasks]),
        )
        # Only now: who closes tasks of the job waits for this lock.
        if not execute(
            "SELECT 1 FROM jobs WHERE id = %s AND attempt = %s AND state = 'running'"
            f" AND planned_at IS NULL {'FOR NO KEY UPDATE' if sql.postgres else ''}",
            *(job_id.hex, attempt),
        ):
            raise _PlannedElsewhere
        needs.insert(job_id, tasks, (row[0] for row in rows))
        _record_tasks(job_id, None, rows, actor)
        ended = Counter(row[1] for row in rows if row[1] != "pending")
        reused = sum(row[2] == Reason.REUSED for row in rows)
        rolled = roll_up(job_id, ended, added=len(rows), reused=reused, actor=actor)
    # Undone: another plans the job.
    if rolled is None:
        return None
    metrics.CACHE_HITS.add(rolled.kind, by=reused)
    _counted(rolled, [row for row in rows if row[1] != "pending"])
    return len(rows)


class _PlannedElsewhere(Exception):
    """Undoes an insert: the job is no longer being planned under this attempt."""


def lock_sending(kind: str) -> None:
    """Until the transaction ends nobody else sends tasks of the kind, or closes what waits."""
    lock(f"dispatch:{kind}")


def _lock_sending_of(job_id: uuid.UUID) -> None:
    """Whoever sends the job's tasks takes them in another order: one after the other."""
    for (kind,) in execute("SELECT kind FROM jobs WHERE id = %s", job_id.hex):
        lock_sending(kind)


def close_pending(
    job_id: uuid.UUID, state: TaskState, reason: Reason, message: str, *, actor: str
) -> bool:
    """Close every pending task of the job at once; True for the caller that ended the job."""
    sql, pending = dialect(), "job_id = %s AND state = 'pending'"
    with transaction():
        _lock_sending_of(job_id)
        rows = execute(
            f"UPDATE tasks SET state = %s, reason = %s, message = %s, finished_at = {sql.now},"
            f" open_needs = 0 WHERE {sql.locked('tasks', pending)}"
            " RETURNING seq, state, reason",
            *(state, reason, message, job_id.hex),
        )
        _record_tasks(job_id, "pending", rows, actor)
        rolled = roll_up(job_id, Counter(row[1] for row in rows), actor=actor)
    return _counted(rolled, rows)


def claim_job(job_id: uuid.UUID, *, phase: str, worker: str, lease_s: float) -> int | None:
    """Lease the job's planning (``plan``) or finishing (``finish``): its attempt, or None."""
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
            f"UPDATE jobs SET planned_at = {sql.now}, stage = %s, message = '', worker = NULL,"
            " lease_until = NULL, attempt = 0, hinted_at = NULL WHERE id = %s AND attempt = %s"
            " AND state = 'running' AND planned_at IS NULL RETURNING id",
            *(stage, job_id.hex, attempt),
        )
        rolled = roll_up(job_id, Counter(), actor=actor) if rows else None
    return _counted(rolled, [])


def put_back_job(
    job_id: uuid.UUID,
    attempt: int,
    delay_s: float,
    message: str,
    *,
    actor: str,
    forgiven: bool = False,
) -> None:
    """Release the lease on planning or finishing; it is due again after ``delay_s``.

    A ``forgiven`` run does not count: its worker was asked to stop.
    """
    sql = dialect()
    with transaction():
        rows = execute(
            "UPDATE jobs SET worker = NULL, lease_until = NULL, hinted_at = NULL,"
            " message = CASE WHEN finished_at IS NULL THEN %s ELSE message END,"
            f" attempt = attempt - %s, not_before = {sql.later('%s')} WHERE id = %s"
            " AND attempt = %s AND lease_until IS NOT NULL RETURNING state",
            *(message, int(forgiven), delay_s, job_id.hex, attempt),
        )
        for (state,) in rows:
            record(job_id, "job", state, state, actor=actor, message=message)


def release_lapsed(since_s: float, *, actor: str) -> int:
    """Release the leases on planning and finishing that lapsed longer ago; return how many.

    They are due at once, and the run stays counted.
    """
    sql = dialect()
    with transaction():
        lapsed = f"lease_until < {sql.later('%s')}"
        rows = execute(
            "UPDATE jobs SET worker = NULL, lease_until = NULL, hinted_at = NULL"
            f" WHERE {sql.locked('jobs', lapsed)} RETURNING id, state",
            -since_s,
        )
        for job_id, state in rows:
            text = "The worker was lost."
            record(as_uuid(job_id), "job", state, state, actor=actor, message=text)
    return len(rows)


def close_left_over(job_id: uuid.UUID, *, actor: str) -> int:
    """Cancel what is open of a job that has ended; return how many tasks. Counters are not moved:
    they may be what is wrong."""
    sql = dialect()
    left_over = (
        "job_id = %s AND state IN ('pending', 'running')"
        " AND job_id IN (SELECT id FROM jobs WHERE finished_at IS NOT NULL)"
    )
    with transaction():
        rows = execute(
            "UPDATE tasks SET state = 'cancelled', reason = %s, message = %s, worker = NULL,"
            f" lease_until = NULL, open_needs = 0, finished_at = {sql.now}"
            f" WHERE {sql.locked('tasks', left_over)}"
            " RETURNING seq, state, reason",
            *(Reason.CANCELLED, "The job had ended without it.", job_id.hex),
        )
        _record_tasks(job_id, "running", rows, actor)
    return len(rows)


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
                AND succeeded + failed + timed_out + cancelled = total RETURNING kind
            """,
            *(state, reason, message, job_id.hex),
        )
        if rows:
            record(job_id, "job", "running", state, actor=actor, reason=reason, message=message)
        else:
            # Tasks still run: the rollup that closes the last of them ends the job.
            execute(
                f"UPDATE jobs SET planned_at = {sql.now}, reason = %s, message = %s, worker = NULL,"
                " lease_until = NULL, attempt = 0 WHERE id = %s AND planned_at IS NULL"
                " AND state IN ('pending', 'running')",
                *(reason, message, job_id.hex),
            )
    return _counted(Rolled(rows[0][0], state, reason) if rows else None, [])


def end_if_done(job_id: uuid.UUID, *, actor: str) -> bool:
    """End the job if nothing of it is open; True for the caller that ended it."""
    with transaction():
        rolled = roll_up(job_id, Counter(), actor=actor)
    return _counted(rolled, [])


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


def _record_tasks(
    job_id: uuid.UUID, from_state: str | None, rows: list[tuple[Any, ...]], actor: str
) -> None:
    groups: dict[tuple[str, str | None], list[int]] = {}
    for seq, state, reason in rows:
        groups.setdefault((state, reason), []).append(seq)
    for (state, reason), seqs in groups.items():
        record(job_id, "tasks", from_state, state, actor=actor, reason=reason, tasks=seqs)


def _counted(rolled: Rolled | None, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Count what was committed (place, state, reason of each task); True when it ended the job."""
    if rolled is None:
        return False
    for (state, reason), number in Counter((state, reason) for _, state, reason in rows).items():
        if state == TaskState.PENDING:
            metrics.RETRIES.add(rolled.kind, reason or "", by=number)
        else:
            metrics.TASKS_ENDED.add(rolled.kind, state, reason or "", by=number)
    if rolled.end is None:
        return False
    metrics.JOBS_ENDED.add(rolled.kind, rolled.end, rolled.reason or "")
    return True
