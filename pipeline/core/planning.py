"""Turns a job into tasks, under a lease, in bulk, resumable at any line."""

import contextvars
import logging
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pipeline import broker, failpoints, logs, tracing
from pipeline.core import documents, finishing, jobs, retries, transitions, trouble
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.heartbeat import STOPS, Heartbeat
from pipeline.core.kinds import get_kind
from pipeline.core.tasks import NewTask
from pipeline.errors import (
    DatabaseUnavailable,
    Permanent,
    QuaylineError,
    StorageUnavailable,
    Transient,
)
from pipeline.failpoints import Point
from pipeline.states import JobState, Reason
from pipeline.store import changes
from pipeline.store.database import as_uuid, dialect, execute, session, transaction
from pipeline.store.models import JobRow, seconds_since

log = logging.getLogger(__name__)

#: A job that is a second older counts as so much smaller when the next one to plan is chosen: one
#: of 15 MiB is passed by small ones for a minute.
AGEING_BYTES_PER_S = 256 * 1024

#: Among so many jobs the next one to plan is chosen.
LOOK_AT = 1000

#: A stage text is written at most this often, in seconds.
STAGE_EVERY_S = 0.5


class WorkerStops(Exception):
    """Raised inside a plan when this worker was asked to stop: another goes on with it."""


class Stopped(Exception):
    """Raised inside a plan when the job was cancelled, is late, or went to another worker."""


class Planning:
    """What a kind's ``plan`` is given: a place to put tasks, and to say what it does."""

    def __init__(
        self, job_id: uuid.UUID, attempt: int, kind: str, beat: Heartbeat, context: Context
    ) -> None:
        self.job_id = job_id
        self._attempt = attempt
        self._kind = kind
        self._beat = beat
        self._context = context
        self._staged_at = 0.0
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="dispatch")
        self._sent: Future[int] | None = None

    def add(self, tasks: Sequence[NewTask]) -> None:
        """Insert the tasks (one statement) and let workers begin on them."""
        self.check()
        if self._sent is not None and self._sent.done():
            self._sent.result()
        actor = self._context.settings.worker_name
        if transitions.insert_tasks(self.job_id, self._attempt, tasks, actor=actor) is None:
            raise Stopped
        failpoints.reach(Point.INSERTED)
        self._dispatch()

    def _dispatch(self) -> None:
        """Send what is due. PostgreSQL takes the next tasks meanwhile; SQLite has one writer."""
        if dialect().postgres:
            surroundings = contextvars.copy_context()
            self._sent = self._sender.submit(surroundings.run, dispatch, self._kind, self._context)
        else:
            dispatch(self._kind, self._context)

    def __enter__(self) -> Self:
        """Let the kind plan."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait until what was inserted is sent."""
        self._sender.shutdown()

    def stage(self, text: str) -> None:
        """Show the text as the job's stage."""
        self.check()
        if time.monotonic() - self._staged_at >= STAGE_EVERY_S:
            self._staged_at = time.monotonic()
            with transaction():
                changes.note(self.job_id)
                execute("UPDATE jobs SET stage = %s WHERE id = %s", text, self.job_id.hex)

    def check(self) -> None:
        """Raise ``Stopped`` or ``WorkerStops`` when the plan should not go on here."""
        if self._beat.stopped():
            raise Stopped
        if broker.stopping():
            raise WorkerStops


def plan_next(kind_name: str, context: Context) -> None:
    """Plan the job of this kind whose turn it is: a message to plan is a turn, whoever sent it.

    The highest priority goes first, then the smaller source; an older job counts as smaller, so
    that none waits for ever.
    """
    tried: set[Waiting] = set()
    while due := _waiting(kind_name) - tried:
        first = min(due, key=lambda each: each.rank)
        if run_plan(first.id, context):
            return
        tried.add(first)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job whose plan is due, as the choice between jobs sees it."""

    id: uuid.UUID
    priority: int
    size_bytes: int

    @property
    def rank(self) -> tuple[int, float, uuid.UUID]:
        """The sort key: the smallest is planned next. All age alike, so none needs the time."""
        born_s = (self.id.int >> 80) / 1000  # the clock in a UUIDv7
        return (-self.priority, self.size_bytes + born_s * AGEING_BYTES_PER_S, self.id)


def _waiting(kind_name: str) -> set[Waiting]:
    """Return the jobs whose plan is due, the oldest of the highest priority if they are many."""
    now = dialect().now
    with session():
        rows = execute(
            "SELECT id, priority, source FROM jobs WHERE kind = %s AND planned_at IS NULL"
            " AND state IN ('pending', 'running') AND cancel_requested_at IS NULL"
            f" AND not_before <= {now} AND (lease_until IS NULL OR lease_until < {now})"
            " ORDER BY priority DESC, id LIMIT %s",
            *(kind_name, LOOK_AT),
        )
    return {Waiting(as_uuid(row[0]), row[1], _size_bytes(row[2])) for row in rows}


def _size_bytes(source: str | None) -> int:
    told = documents.loaded(source or "{}").get("size_bytes")
    return told if isinstance(told, int) else 0


def run_plan(job_id: uuid.UUID, context: Context) -> bool:
    """Plan the job if that is due; its row says what comes next. False when somebody else does."""
    settings = context.settings
    attempt = transitions.claim_job(
        job_id, phase="plan", worker=settings.worker_name, lease_s=settings.lease_s
    )
    if attempt is None:
        return False
    failpoints.reach(Point.PLAN_CLAIMED)
    try:
        job = jobs.get(job_id)
    except Permanent as error:
        _failed(job_id, error.reason, error.message, context)
        return True

    def renew() -> bool:
        return transitions.renew_job(job_id, attempt, lease_s=settings.lease_s)

    with (
        logs.bind(job_id=str(job_id)),
        tracing.span("plan", job_id),
        Heartbeat(job_id, renew, lease_s=settings.lease_s) as beat,
    ):
        try:
            with Planning(job_id, attempt, job.kind, beat, context) as planning:
                get_kind(job.kind).plan(job, planning, context)
        except WorkerStops:
            text, actor = "The worker was asked to stop.", settings.worker_name
            transitions.put_back_job(job_id, attempt, 0.0, text, actor=actor, forgiven=True)
            jobs.ring(job.kind, job_id)
        except Stopped:
            _stopped(job_id, beat, context)
        except Transient as error:
            _again(job, attempt, error, context)
        except QuaylineError as error:
            _failed(job_id, error.reason, error.message, context)
        except Exception:
            log.exception("A plan failed")
            text = "Planning failed unexpectedly; the log has the traceback."
            _again(job, attempt, Transient(text), context)
        else:
            _planned(job, attempt, context)
    return True


def _planned(job: JobRow, attempt: int, context: Context) -> None:
    actor = context.settings.worker_name
    ended = transitions.planned(job.id, attempt, stage="working", actor=actor)
    failpoints.reach(Point.PLANNED)
    if ended:
        finishing.announce(job.id)
    dispatch(job.kind, context)


def _stopped(job_id: uuid.UUID, beat: Heartbeat, context: Context) -> None:
    if beat.reason in STOPS:
        jobs.stop(job_id, beat.reason, actor=context.settings.worker_name)


def _again(job: JobRow, attempt: int, error: QuaylineError, context: Context) -> None:
    settings = context.settings
    trouble.note(error)
    # If this cannot be written either, the lease lapses.
    with suppress(DatabaseUnavailable):
        if isinstance(error, (DatabaseUnavailable, StorageUnavailable)):
            decision = retries.bear(error.reason, attempt, seconds_since(job.started_at), settings)
        else:
            decision = retries.decide(error.reason, attempt, settings)
        if decision.state == "failed":
            _failed(job.id, error.reason, error.message, context)
            return
        transitions.put_back_job(
            *(job.id, attempt, decision.delay_s, error.message),
            actor=settings.worker_name,
            forgiven=decision.forgiven,
        )


def _failed(job_id: uuid.UUID, reason: Reason, message: str, context: Context) -> None:
    actor = context.settings.worker_name
    if transitions.end_unplanned(job_id, JobState.FAILED, reason, message, actor=actor):
        finishing.announce(job_id)
