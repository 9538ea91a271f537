"""Jobs as their users see them: submit once, look, cancel, retry."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline import broker, failpoints, tracing
from pipeline.clock import new_id
from pipeline.core import documents, finishing, transitions
from pipeline.core.heartbeat import STOPS
from pipeline.core.history import record
from pipeline.core.kinds import get_kind
from pipeline.errors import Conflict, DatabaseUnavailable, NotFound, Refused
from pipeline.failpoints import Point
from pipeline.settings import Settings
from pipeline.states import TERMINAL_JOB, JobState, Reason
from pipeline.store.database import as_json, dialect, execute, session, stream, transaction
from pipeline.store.models import EventRow, JobRow
from pipeline.store.results import unpacked

#: The states of a job that its kind's tasks may bring it to when it is stopped.
STOPPED_JOB = {Reason.CANCELLED: JobState.CANCELLED, Reason.DEADLINE: JobState.TIMED_OUT}


@dataclass(frozen=True, slots=True)
class Submission:
    """What a user asks for. ``parameters`` are validated by the kind, unknown keys refused.

    ``source`` is the kind's own document; its ``blobs`` are the digests of what must be kept as
    long as the job is, as ``blobs`` in a task's payload are until the task has ended.
    """

    kind: str
    parameters: Mapping[str, Any]
    source: Mapping[str, Any] | None = None
    priority: int = 5
    owner: str = ""
    labels: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    deadline_s: float | None = None

    def digest(self) -> str:
        """Return the digest by which a repeated request is recognised."""
        told: list[Any] = [self.kind, self.parameters, self.source, self.priority, self.labels]
        if self.deadline_s is not None:
            told.append(self.deadline_s)
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def submit(
    submission: Submission,
    *,
    heard: bool = True,
    again: uuid.UUID | None = None,
    hold: Callable[[], None] | None = None,
) -> uuid.UUID:
    """Write the job's row, then ring; return the job's id.

    Nobody is rung where nobody hears it (``heard``: an embedded client that does no work, whose
    messages die with its process); the sweep of the process that works finds the row at once.

    The same owner and idempotency key return the job that exists; with another request under that
    key ``Conflict`` is raised. A broker that is away costs nothing: the sweep rings later. A
    connection that breaks in the commit is no answer: the row is looked for on another.

    ``again``: the job whose blobs it takes over, which has to be there until it is; ``hold`` is
    called first in the row's transaction, to hold what else it takes blobs over from.
    """
    kind = get_kind(submission.kind)
    if not 0 <= submission.priority <= 9:
        raise Refused("A priority is a whole number from 0 to 9.")
    job_id, began_at = new_id(), time.time()
    existing, is_sent = None, False
    try:
        with session():
            is_sent = True
            existing = insert(job_id, submission, heard=heard, again=again, hold=hold)
    except DatabaseUnavailable:
        if not is_sent or not _is_there(job_id):
            raise
    if existing is not None:
        return existing
    failpoints.reach(Point.SUBMITTED)
    if heard:
        ring(kind.name, job_id)
    tracing.submitted(job_id, kind.name, began_at)
    return job_id


def _is_there(job_id: uuid.UUID) -> bool:
    with session():
        return bool(execute("SELECT 1 FROM jobs WHERE id = %s", job_id.hex))


def insert(
    job_id: uuid.UUID,
    submission: Submission,
    *,
    heard: bool,
    again: uuid.UUID | None = None,
    hold: Callable[[], None] | None = None,
) -> uuid.UUID | None:
    """Write the row; return the id of the job that was submitted under the same key before.

    Nobody is rung: whoever calls it in a transaction of its own does that after the commit.
    """
    sql = dialect()
    deadline = sql.later("%s") if submission.deadline_s is not None else "%s"
    with transaction():
        if again is not None:
            _keep_there(again)
        if hold is not None:
            hold()
        rows = execute(
            "INSERT INTO jobs (id, kind, state, stage, priority, owner, labels, idempotency_key,"
            " request_digest, parameters, source, not_before, created_at, hinted_at, deadline_at)"
            " VALUES (%s, %s, 'pending', 'queued', %s, %s, %s, %s, %s, %s, %s,"
            f" {sql.now}, {sql.now}, {sql.now}, {deadline})"
            " ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING"
            " RETURNING id",
            *(job_id.hex, submission.kind, submission.priority, submission.owner),
            *(as_json(dict(submission.labels or {})), submission.idempotency_key),
            *(submission.digest(), as_json(dict(submission.parameters))),
            as_json(dict(submission.source)) if submission.source is not None else None,
            submission.deadline_s,
        )
        if not rows:
            return _existing(submission)
        if not heard:
            execute("UPDATE jobs SET hinted_at = NULL WHERE id = %s", job_id.hex)
        actor = submission.owner or "submitter"
        record(job_id, "job", None, JobState.PENDING, actor=actor)
    return None


def _keep_there(job_id: uuid.UUID) -> None:
    """Nobody removes the job until the transaction ends; ``NotFound`` when it is gone."""
    locked = " FOR KEY SHARE" if dialect().postgres else ""
    if not execute(f"SELECT 1 FROM jobs WHERE id = %s{locked}", job_id.hex):
        raise NotFound(f"There is no job {job_id}.")


def _existing(submission: Submission) -> uuid.UUID:
    row = JobRow.get(
        (JobRow.owner == submission.owner) & (JobRow.idempotency_key == submission.idempotency_key)
    )
    if row.request_digest != submission.digest():
        raise key_conflict(row)
    found: uuid.UUID = row.id
    return found


def key_conflict(row: JobRow) -> Conflict:
    """Return what is raised when the job's key comes again with another request."""
    return Conflict(
        f"The idempotency key {row.idempotency_key!r} was used for another request (job {row.id})."
    )


def under_key(owner: str, idempotency_key: str | None) -> JobRow | None:
    """Return the job that the owner submitted under that key, if there is one.

    A request that is answered from what is stored beside it (a template, what workers offer) asks
    this first: repeated, it is the job that it was, whatever has changed there since.
    """
    if idempotency_key is None:
        return None
    with session():
        return JobRow.get_or_none(
            (JobRow.owner == owner) & (JobRow.idempotency_key == idempotency_key)
        )


def ring(kind_name: str, *job_ids: uuid.UUID) -> bool:
    """Send the jobs' first messages; on failure their rows say at once that they are due."""
    kind = get_kind(kind_name)
    told = [
        broker.message(kind.plan_queue, kind.plan_actor, str(job_id), job_id=job_id)
        for job_id in job_ids
    ]
    if broker.send(told):
        return True
    # The rows were committed before: whatever happens here, the jobs are kept.
    sql = dialect()
    unplanned = f"{sql.among('id')} AND planned_at IS NULL"
    with suppress(DatabaseUnavailable), transaction():
        execute(
            f"UPDATE jobs SET hinted_at = NULL WHERE {sql.locked('jobs', unplanned)}",
            sql.ids(job_ids),
        )
    return False


#: All there are.
_COLUMNS = tuple(JobRow._meta.fields)


def get(job_id: uuid.UUID | str) -> JobRow:
    """Return the job's row; ``NotFound`` when there is none of that id, ``Permanent`` (corrupt)
    when it cannot be read."""
    try:
        wanted = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(str(job_id))
    except ValueError:
        raise NotFound(f"{job_id!r} is not the id of a job.") from None
    with session():
        try:
            rows = execute(f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE id = %s", wanted.hex)
            row = next((JobRow.of(_COLUMNS, told) for told in rows), None)
        except (ValueError, RecursionError) as error:
            raise documents.corrupt(f"job {wanted} has a document that is no JSON") from error
    if row is None:
        raise NotFound(f"There is no job {wanted}.")
    return row


def listed(*, state: str | None = None, owner: str | None = None, limit: int = 50) -> list[JobRow]:
    """Return jobs, the newest first."""
    query = JobRow.select().order_by(JobRow.id.desc()).limit(limit)
    if state is not None:
        query = query.where(JobRow.state == JobState(state))
    if owner is not None:
        query = query.where(JobRow.owner == owner)
    with session():
        return list(query)


def cancel(job_id: uuid.UUID, *, actor: str) -> bool:
    """Cancel the job: pending tasks at once, running ones at their next heartbeat.

    False when it had ended or was cancelled before.
    """
    if not transitions.request_cancel(job_id, actor=actor):
        return False
    stop(job_id, Reason.CANCELLED, actor=actor)
    return True


def stop(job_id: uuid.UUID, reason: Reason, *, actor: str) -> None:
    """Close what the job has pending, and the job itself when nothing of it runs."""
    state, message = STOPS[reason]
    with session():
        # Not the whole row: a job whose documents cannot be read must end, too.
        sql = "SELECT state, planned_at FROM jobs WHERE id = %s"
        [(is_state, planned_at)] = execute(sql, job_id.hex)
    if is_state in TERMINAL_JOB:
        return
    if planned_at is None:
        ended = transitions.end_unplanned(job_id, STOPPED_JOB[reason], reason, message, actor=actor)
    else:
        ended = transitions.close_pending(job_id, state, reason, message, actor=actor)
    if ended:
        finishing.announce(job_id)


def retry(job_id: uuid.UUID, settings: Settings, *, actor: str, heard: bool = True) -> uuid.UUID:
    """Submit the ended job again as a new one; results that were reached are reused, so only what
    did not end well is done again. ``Refused`` where the settings no longer allow it."""
    job = get(job_id)
    if job.state not in TERMINAL_JOB:
        raise Refused(f"The job is still {job.state}; only an ended job can be run again.")
    kind = get_kind(job.kind)
    kind.admit(documents.read(kind.parameters, job.parameters, "parameters"), settings)
    labels = documents.mapping(job.labels, "labels")
    return submit(
        Submission(
            kind=job.kind,
            parameters=job.parameters,
            source=None if job.source is None else documents.mapping(job.source, "source"),
            priority=job.priority,
            owner=job.owner,
            labels={**labels, "retry_of": str(job.id), "retried_by": actor},
        ),
        heard=heard,
        again=job.id,
    )


def events(job_id: uuid.UUID) -> list[dict[str, Any]]:
    """Return the whole history of the job, oldest first."""
    with session():
        query = EventRow.select().where(EventRow.job == job_id).order_by(EventRow.id).dicts()
        rows: Any = query
        return [{**row, "job": str(row["job"])} for row in rows]


def tasks(job_id: uuid.UUID) -> Iterator[dict[str, Any]]:
    """Yield the job's tasks in order, each with its result document; memory holds a few hundred."""
    names = ("seq", "id", "name", "state", "reason", "message", "attempt", "size_bytes", "result")
    rows = stream(
        "SELECT t.seq, t.id, t.name, t.state, t.reason, t.message, t.attempt, t.size_bytes, r.body"
        " FROM tasks t LEFT JOIN results r ON r.key = t.result_key"
        " WHERE t.job_id = %s AND t.seq > %s ORDER BY t.seq LIMIT %s",
        (job_id.hex, -1),
        chunk=200,
    )
    for row in rows:
        yield {**dict(zip(names, row, strict=True)), "result": unpacked(row[-1])}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; rates and estimates are derived from the rows when asked for."""

    state: str
    stage: str
    message: str
    total: int
    done: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    reused: int
    planned: bool
    finalized: bool
    elapsed_s: float
    rate_per_s: float
    eta_s: float | None


def progress(job_id: uuid.UUID) -> Progress:
    """Return the progress of the job."""
    return progress_of(get(job_id))


def progress_of(job: JobRow) -> Progress:
    """Return the progress that the job's row tells; its documents are not looked at."""
    end = job.finished_at or datetime.now(UTC)
    elapsed = max(0.0, (end - (job.started_at or end)).total_seconds())
    rate = (job.done - job.reused) / elapsed if elapsed > 0 else 0.0
    left = job.total - job.done
    return Progress(
        state=job.state,
        stage=job.stage,
        message=job.message,
        total=job.total,
        done=job.done,
        succeeded=job.succeeded,
        failed=job.failed,
        timed_out=job.timed_out,
        cancelled=job.cancelled,
        reused=job.reused,
        planned=job.planned_at is not None,
        finalized=job.finalized_at is not None,
        elapsed_s=elapsed,
        rate_per_s=rate,
        eta_s=left / rate if rate > 0 and job.planned_at is not None else None,
    )
