"""Runs one batch of tasks: claim, work, close, send what is due next."""

import logging
import secrets
import threading
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import tenacity

from pipeline import failpoints, logs, metrics
from pipeline.core import finishing, jobs, retries, transitions, trouble
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.heartbeat import STOPS, Heartbeat
from pipeline.core.kinds import get_kind
from pipeline.core.retries import Decision
from pipeline.core.tasks import Claim, Outcome
from pipeline.errors import DatabaseUnavailable, NotFound, Permanent, Transient
from pipeline.failpoints import Point
from pipeline.states import Reason, TaskState
from pipeline.store import results
from pipeline.store.models import JobRow
from pipeline.store.results import Result

log = logging.getLogger(__name__)

#: Outcomes are written together, at most this often per batch, in seconds.
FLUSH_EVERY_S = 1.0

STATES = {Reason.TIME_LIMIT: TaskState.TIMED_OUT, Reason.DEADLINE: TaskState.TIMED_OUT}


#: Bad ends that whoever runs the workers wants to know of; the others are the users'.
OPERATORS = retries.RETRYABLE | {Reason.OUT_OF_MEMORY, Reason.TIME_LIMIT}


class Ending(NamedTuple):
    """How a kind says that one task ended: no reason means well.

    ``result`` is stored; ``result_key`` names one that is stored already. ``decision`` is what
    follows a bad end where the kind knows better than ``retries``.
    """

    claim: Claim
    reason: Reason | None = None
    message: str = ""
    result: Result | None = None
    result_key: str | None = None
    decision: Decision | None = None


class Ledger:
    """Collects the endings of a batch and closes them together: one transaction for many tasks.

    The work adds, the heartbeat's thread writes what has waited, so that an ending neither hides
    nor loses its lease behind a neighbour that takes long.
    """

    def __init__(
        self, job_id: uuid.UUID, claims: Sequence[Claim], context: Context, *, kind: str = ""
    ) -> None:
        self.job_id = job_id
        self._kind = kind
        self.open = {claim.id: claim for claim in claims}
        self.job_ended = False
        self._is_unsure = False
        self._context = context
        self._claims = dict(self.open)
        self._waiting: list[tuple[Outcome, Result | None]] = []
        self._began_at = self._flushed_at = time.monotonic()
        self._ran_s: list[float] = []
        self._lock = threading.RLock()

    def add(self, ending: Ending) -> None:
        """Note an ending; it is written with others, soon."""
        with self._lock:
            self._waiting.append((self._outcome(ending), ending.result))
            self._ran_s.append(time.monotonic() - self._began_at)
            del self.open[ending.claim.id]
            if self._is_due():
                self.flush()

    def beat(self) -> None:
        """Write what has waited; called from the heartbeat's thread."""
        with self._lock:
            if self._is_due():
                self._write()

    def held(self) -> list[Claim]:
        """Return the claims whose ending is not written yet: their leases must be renewed."""
        with self._lock:
            noted = [self._claims[outcome.task_id] for outcome, _ in self._waiting]
            return [*self.open.values(), *noted]

    def _is_due(self) -> bool:
        return time.monotonic() - self._flushed_at >= FLUSH_EVERY_S

    def stop(self, state: TaskState, reason: Reason, message: str) -> None:
        """Close every task that is still open this way."""
        for claim in self.open.values():
            outcome = Outcome(claim.id, claim.attempt, state, reason, message)
            self._waiting.append((outcome, None))
        self.open.clear()

    def leave(self, claim: Claim) -> None:
        """The task goes on outside of this worker, detached: it is no longer this batch's."""
        with self._lock:
            del self.open[claim.id]

    def postpone(self, claim: Claim, message: str, *, delay_s: float) -> None:
        """Give this task back without a strike, due again after ``delay_s``."""
        told = (claim.id, claim.attempt, TaskState.PENDING, None, message)
        with self._lock:
            del self.open[claim.id]
            self._waiting.append((Outcome(*told, delay_s=delay_s), None))

    def strike(self, reason: Reason, message: str) -> None:
        """End the open tasks' run badly: they run again while they have strikes left."""
        for claim in self.open.values():
            self._waiting.append((self._outcome(Ending(claim, reason, message)), None))
        self.open.clear()

    def hand_back(self, reason: Reason, message: str, *, delay_s: float = 0.0) -> None:
        """Give the open tasks back without a strike: the fault was not theirs."""
        for claim in self.open.values():
            told = (claim.id, claim.attempt, TaskState.PENDING, reason, message)
            self._waiting.append((Outcome(*told, delay_s=delay_s), None))
        self.open.clear()

    def flush(self) -> None:
        """Write what was noted: results first, then the closes and the rollup."""
        with self._lock:
            for attempt in _patiently(self._context.settings.lease_s):
                with attempt:
                    self._write()
                    if self._is_unsure:
                        # A close that was cut off may have ended the job: to tell it twice is fine.
                        self.job_ended |= jobs.get(self.job_id).finished_at is not None
                        self._is_unsure = False

    def _write(self) -> None:
        if self._waiting:
            failpoints.reach(Point.WORKED)
            results.store([result for _, result in self._waiting if result is not None])
            failpoints.reach(Point.STORED)
            self._is_unsure, was_unsure = True, self._is_unsure
            self.job_ended |= transitions.close_tasks(
                self.job_id,
                [outcome for outcome, _ in self._waiting],
                actor=self._context.settings.worker_name,
            )
            self._is_unsure = was_unsure
            self._waiting.clear()
            metrics.RUN_SECONDS.observe_all(self._ran_s, self._kind)
            self._ran_s.clear()
        self._flushed_at = time.monotonic()

    def _outcome(self, ending: Ending) -> Outcome:
        claim, reason = ending.claim, ending.reason
        if reason is None:
            key = ending.result.key if ending.result else ending.result_key
            return Outcome(claim.id, claim.attempt, TaskState.SUCCEEDED, None, ending.message, key)
        log.log(
            logging.WARNING if reason in OPERATORS else logging.DEBUG,
            "A task's run ended badly",
            extra={"task_id": str(claim.id), "reason": reason, "told": ending.message},
        )
        if reason in STATES:
            return Outcome(claim.id, claim.attempt, STATES[reason], reason, ending.message)
        decision = ending.decision
        if decision is None:
            decision = retries.decide(reason, claim.strikes + 1, self._context.settings)
        return Outcome(
            *(claim.id, claim.attempt, decision.state, reason, ending.message),
            delay_s=decision.delay_s,
            strike=not decision.forgiven,
        )


def _patiently(limit_s: float) -> tenacity.Retrying:
    """Try again while the database is away; closes are compare-and-set, so twice is once."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        stop=tenacity.stop_after_delay(limit_s),
        before_sleep=trouble.note_attempt,
        reraise=True,
    )


def run_batch(job_id: uuid.UUID, batch: uuid.UUID, context: Context) -> None:
    """Do what is due of the batch; whatever happens, each task's row says what comes next.

    A message about a job that is gone, or a batch that somebody else has, is nothing to do.
    """
    claims = _claim(job_id, batch, context)
    try:
        job = jobs.get(job_id)
    except NotFound:
        log.info("A message named a job that is gone", extra={"job_id": str(job_id)})
        return
    except Permanent as error:
        _give_up(job_id, claims, error, context)
        return
    if claims:
        failpoints.reach(Point.CLAIMED)
        with logs.bind(job_id=str(job_id), task_ids=[str(claim.id) for claim in claims]):
            _work(job, claims, context)
    dispatch(job.kind, context)


def _claim(job_id: uuid.UUID, batch: uuid.UUID, context: Context) -> list[Claim]:
    """Lease what is due, also while the database comes and goes.

    A claim whose commit was cut off may have happened; its rows tell, and they are ours then.
    """
    settings, token = context.settings, secrets.token_hex(4)
    for attempt in _patiently(settings.lease_s / 2):
        with attempt:
            worker, lease_s = settings.worker_name, settings.lease_s
            claims = transitions.claim_tasks(
                job_id, batch, worker=worker, lease_s=lease_s, token=token
            )
            if attempt.retry_state.attempt_number == 1:
                return claims
            return transitions.claimed(job_id, batch, worker=worker, token=token)
    raise AssertionError("The last attempt returns or raises.")


def _give_up(
    job_id: uuid.UUID, claims: Sequence[Claim], error: Permanent, context: Context
) -> None:
    """End the tasks of a job whose row cannot be read."""
    ledger = Ledger(job_id, claims, context)
    ledger.strike(error.reason, error.message)
    ledger.flush()
    if ledger.job_ended:
        finishing.announce(job_id)


def _work(job: JobRow, claims: list[Claim], context: Context) -> None:
    ledger = Ledger(job.id, claims, context, kind=job.kind)

    def renew() -> bool:
        held = ledger.held()
        return not held or bool(transitions.renew(held, lease_s=context.settings.lease_s))

    with Heartbeat(job.id, renew, lease_s=context.settings.lease_s, also=ledger.beat) as beat:
        try:
            get_kind(job.kind).work(job, claims, ledger, beat, context)
        except Transient as error:
            trouble.note(error)
            pause = context.settings.backoff_s
            ledger.hand_back(error.reason, error.message, delay_s=pause)
        except Permanent as error:
            ledger.strike(error.reason, error.message)
        except Exception:
            log.exception("A batch failed")
            text = "The worker failed unexpectedly; its log has the traceback."
            ledger.strike(Reason.ERROR, text)
        except BaseException:
            # A shutdown or a time limit of the message: the work was not at fault.
            ledger.hand_back(Reason.WORKER_LOST, "The worker was stopped.")
            ledger.flush()
            raise
    if beat.reason in STOPS:
        ledger.stop(STOPS[beat.reason][0], beat.reason, STOPS[beat.reason][1])
    elif ledger.open:
        ledger.strike(Reason.ERROR, "The worker left the task undone.")
    ledger.flush()
    failpoints.reach(Point.CLOSED)
    if ledger.job_ended:
        finishing.announce(job.id)
        failpoints.reach(Point.ANNOUNCED)
