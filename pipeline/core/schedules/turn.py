"""One schedule's turn: which of its times become jobs, and those jobs' rows.

All of it is one transaction, that holds the schedule's row; what has to be told is told afterwards.
"""

import logging
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline import clock
from pipeline.core import documents, jobs, repeating, transitions
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.kinds import get_kind
from pipeline.core.schedules import fires, lateness, rows
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import Outcome
from pipeline.errors import Conflict, DatabaseUnavailable, Refused
from pipeline.states import CatchUp, Overlap, Reason
from pipeline.store.database import execute, transaction
from pipeline.store.models import utc_value

log = logging.getLogger(__name__)

#: Times of one schedule that one look acts on; the rest has its turn in the next look, after the
#: other schedules. A time that is made up for is a job, one that is skipped is a row.
MOST_JOBS = 100
MOST_ROWS = 1000

#: The label of a schedule's jobs, which holds its name.
LABEL = "schedule"


@dataclass(slots=True)
class Fired:
    """What one look did."""

    submitted: int = 0
    skipped_overlap: int = 0
    skipped_catch_up: int = 0
    refused: int = 0


@dataclass(slots=True)
class Done:
    """What is to be done after one schedule's transaction."""

    submitted: list[uuid.UUID] = field(default_factory=list)
    cancelled: list[uuid.UUID] = field(default_factory=list)


class Turn:
    """One schedule's turn, in the transaction that holds its row."""

    def __init__(self, schedule: Schedule, now: datetime, context: Context) -> None:
        self._schedule = schedule
        self._now = now
        self._context = context
        self._done = Done()
        self._open = fires.open_jobs(schedule.id)
        self._refusal = refusal(schedule, context)

    def take(self, fired: Fired) -> Done:
        """Act on the times that have come, and note the next one."""
        times, following = self._times()
        late_before = self._now - timedelta(seconds=self._context.settings.schedule_grace_s)
        more = following is not None and following <= self._now
        told = lateness.runs(times, self._schedule.catch_up, late_before=late_before, more=more)
        missed = [moment for moment, runs in zip(times, told, strict=True) if not runs]
        fired.skipped_catch_up += fires.record_skipped(
            *(self._schedule.id, missed),
            f"No scheduler was there in time; catch-up is {self._schedule.catch_up}.",
        )
        last = None
        for moment in (moment for moment, runs in zip(times, told, strict=True) if runs):
            outcome = self.fire(moment)
            if outcome is not None:
                setattr(fired, outcome, getattr(fired, outcome) + 1)
            if outcome is Outcome.SUBMITTED:
                last = moment
        execute(
            "UPDATE schedules SET next_fire_at = %s, last_fire_at = COALESCE(%s, last_fire_at)"
            " WHERE id = %s",
            *(utc_value(following), utc_value(last), self._schedule.id.hex),
        )
        return self._done

    def _times(self) -> tuple[list[datetime], datetime | None]:
        """Return those that have come, so many of them, and the one after them."""
        most = MOST_JOBS if self._schedule.catch_up is CatchUp.ALL else MOST_ROWS
        times: list[datetime] = []
        after = self._schedule.times.after
        moment = self._schedule.next_fire_at
        while moment is not None and moment <= self._now and len(times) < most:
            times.append(moment)
            moment = after(moment)
        return times, moment

    def fire(
        self,
        moment: datetime,
        *,
        actor: str = fires.SCHEDULER,
        idempotency_key: str | None = None,
    ) -> Outcome | None:
        """Let that time have its row, and its job; None when it had its row before."""
        if self._refusal:
            return self._record(moment, Outcome.REFUSED, actor, message=self._refusal)
        if self._open and self._schedule.overlap is Overlap.SKIP:
            message = f"The job {self._open[-1]} has not ended; overlap is skip."
            return self._record(moment, Outcome.SKIPPED_OVERLAP, actor, message=message)
        job_id = clock.new_id()
        if self._record(moment, Outcome.SUBMITTED, actor, job_id=job_id) is None:
            return None
        if self._schedule.overlap is Overlap.CANCEL_PREVIOUS:
            self._cancel_open()
        submission = replace(self._submission(), idempotency_key=idempotency_key)
        jobs.insert(job_id, submission, heard=not self._context.settings.embedded)
        self._open.append(job_id)
        self._done.submitted.append(job_id)
        return Outcome.SUBMITTED

    @property
    def done(self) -> Done:
        """What is to be done after the commit."""
        return self._done

    def _record(
        self,
        moment: datetime,
        outcome: Outcome,
        actor: str,
        *,
        job_id: uuid.UUID | None = None,
        message: str = "",
    ) -> Outcome | None:
        written = fires.record(
            *(self._schedule.id, moment, outcome), job_id=job_id, message=message, actor=actor
        )
        return outcome if written else None

    def _submission(self) -> Submission:
        told = self._schedule
        return Submission(
            kind=told.kind,
            parameters=told.parameters,
            source=told.source,
            priority=told.priority,
            owner=told.owner,
            labels={**told.labels, LABEL: told.name},
            deadline_s=told.deadline_s,
        )

    def _cancel_open(self) -> None:
        """From here on the sweep would stop them, too."""
        for job_id in self._open:
            transitions.request_cancel(job_id, actor=f"schedule {self._schedule.name}")
        self._done.cancelled += self._open
        self._open = []


def refusal(schedule: Schedule, context: Context) -> str:
    """Return why its job would be refused now, ``""`` when it would not: settings change."""
    try:
        repeating.check(get_kind(schedule.kind), schedule.parameters, context)
    except Refused as error:
        return error.message
    return ""


def tell(schedule: Schedule, done: Done) -> None:
    """Ring the jobs and stop those that are cancelled; the sweep does what is not done here."""
    try:
        for job_id in done.cancelled:
            jobs.stop(job_id, Reason.CANCELLED, actor=f"schedule {schedule.name}")
        if done.submitted:
            jobs.ring(schedule.kind, *done.submitted)
    except DatabaseUnavailable as error:
        log.warning("What was fired is left to the sweep", extra={"error": error.message})


def run_now(
    name: str, context: Context, *, actor: str, idempotency_key: str | None = None
) -> uuid.UUID:
    """Submit the schedule's job now, whether it is enabled or not; return the job's id.

    ``Refused`` and ``Conflict`` say why not; the overlap policy counts as it does at its times. A
    request that is repeated under its key is the job that it made, however the schedule was changed
    since; keys are those of the schedule's owner, whose job it is.
    """
    with transaction():
        rows.locked(name)
        schedule = rows.get(name)
        made = _made_before(schedule, idempotency_key)
        if made is not None:
            return made
        now = rows.database_now()
        turn = Turn(schedule, now, context)
        outcome = turn.fire(now, actor=actor, idempotency_key=idempotency_key)
        if outcome is not Outcome.SUBMITTED:
            _raise(schedule, now, outcome)
        execute(
            "UPDATE schedules SET last_fire_at = %s WHERE id = %s",
            *(utc_value(now), schedule.id.hex),
        )
    tell(schedule, turn.done)
    return turn.done.submitted[0]


def _made_before(schedule: Schedule, key: str | None) -> uuid.UUID | None:
    row = jobs.under_key(schedule.owner, key)
    if row is None:
        return None
    if documents.mapping(row.labels, "labels").get(LABEL) != schedule.name:
        raise jobs.key_conflict(row)
    made: uuid.UUID = row.id
    return made


def _raise(schedule: Schedule, moment: datetime, outcome: Outcome | None) -> None:
    """Say why nothing was submitted; that takes the row back, too."""
    if outcome is None:
        raise Conflict(f"The schedule {schedule.name!r} was run in the same moment.")
    [fire] = fires.listed(schedule.id, limit=1, before=moment + timedelta(microseconds=1))
    raise (Refused if outcome is Outcome.REFUSED else Conflict)(fire.message)
