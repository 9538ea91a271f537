"""One look at the schedules whose time has come.

A leader alone looks. A time's row, its job's row and the schedule's next time are written in one
transaction, in which the lease is asked for once more; the row's key lets no time have two. Jobs
are rung after the commit, and one that was not is found by the sweep: so a broker that is away, or
a process that ends between any two lines, costs no fire.
"""

import logging
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from pipeline import clock
from pipeline.core import jobs, leader, transitions
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.kinds import get_kind
from pipeline.core.schedules import book, fires, turns
from pipeline.core.schedules.book import Schedule
from pipeline.core.schedules.spec import CatchUp, Outcome, Overlap
from pipeline.errors import Conflict, DatabaseUnavailable, Permanent, Refused, Transient
from pipeline.states import Reason
from pipeline.store.database import as_uuid, dialect, execute, session, transaction
from pipeline.store.models import ScheduleRow, utc_value

log = logging.getLogger(__name__)

#: The lease whose holder fires.
LEASE = "scheduler"

#: Times of one schedule that one look acts on; the rest has its turn in the next look, after the
#: other schedules. A time that is made up for is a job, one that is skipped is a row.
MOST_JOBS = 100
MOST_ROWS = 1000
#: More than anybody has.
MOST_SCHEDULES = 1_000_000


@dataclass(slots=True)
class Fired:
    """What one look did."""

    submitted: int = 0
    skipped_overlap: int = 0
    skipped_catch_up: int = 0
    refused: int = 0


@dataclass(slots=True)
class Round:
    """What is to be done after one schedule's transaction."""

    submitted: list[uuid.UUID] = field(default_factory=list)
    cancelled: list[uuid.UUID] = field(default_factory=list)


def run_due(context: Context) -> Fired:
    """Act on every schedule whose time has come, while this process leads."""
    fired = Fired()
    if not leads(context):
        return fired
    now = book.database_now()
    _heed_clock(now)
    for schedule_id in _due(now):
        if not leads(context):
            break
        try:
            _act(schedule_id, now, fired, context)
        except Transient:
            raise
        except (Refused, Permanent) as error:
            _switch_off(schedule_id, now, error)
        except Exception:
            log.exception("A schedule failed", extra={"schedule_id": str(schedule_id)})
    if any(asdict(fired).values()):
        log.info("Fired", extra=asdict(fired))
    return fired


def leads(context: Context) -> bool:
    """Tell whether this process is the one that fires; the lease is taken or renewed by it."""
    return leader.lead(LEASE, context.settings, lease_s=context.settings.schedule_lease_s)


def leave(context: Context) -> None:
    """Let another process fire, at once."""
    leader.release(LEASE, context.settings)


def _due(now: datetime) -> list[uuid.UUID]:
    """Return the schedules whose time has come, the longest overdue first."""
    with session():
        rows = execute(
            "SELECT id FROM schedules WHERE next_fire_at <= %s ORDER BY next_fire_at",
            utc_value(now),
        )
    return [as_uuid(schedule_id) for (schedule_id,) in rows]


def _act(schedule_id: uuid.UUID, now: datetime, fired: Fired, context: Context) -> None:
    with transaction():
        schedule = _mine(schedule_id, now, context)
        if schedule is None:
            return
        done = Turn(schedule, now, context).take(fired)
    _tell(schedule, done)


def _mine(schedule_id: uuid.UUID, now: datetime, context: Context) -> Schedule | None:
    """Hold the schedule's row until the transaction ends; None when somebody else was first, or
    when this process leads no more."""
    leading, parameters = leader.holds(LEASE, context.settings)
    lock = " FOR UPDATE" if dialect().postgres else ""
    if not execute(
        f"SELECT 1 FROM schedules WHERE id = %s AND next_fire_at <= %s AND {leading}{lock}",
        *(schedule_id.hex, utc_value(now), *parameters),
    ):
        return None
    return book.as_schedule(ScheduleRow.get_by_id(schedule_id))


class Turn:
    """One schedule's turn, in the transaction that holds its row."""

    def __init__(self, schedule: Schedule, now: datetime, context: Context) -> None:
        self._schedule = schedule
        self._now = now
        self._context = context
        self._done = Round()
        self._open = fires.open_jobs(schedule.id)
        self._refusal = _refusal(schedule, context)

    def take(self, fired: Fired) -> Round:
        """Act on the times that have come, and note the next one."""
        times, following = self._times()
        late_before = self._now - timedelta(seconds=self._context.settings.schedule_grace_s)
        more = following is not None and following <= self._now
        told = turns.runs(times, self._schedule.catch_up, late_before=late_before, more=more)
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

    def fire(self, moment: datetime, *, actor: str = fires.SCHEDULER) -> Outcome | None:
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
        jobs.insert(job_id, self._submission(), heard=not self._context.settings.embedded)
        self._open.append(job_id)
        self._done.submitted.append(job_id)
        return Outcome.SUBMITTED

    @property
    def done(self) -> Round:
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
            labels={**told.labels, "schedule": told.name},
            deadline_s=told.deadline_s,
        )

    def _cancel_open(self) -> None:
        """From here on the sweep would stop them, too."""
        for job_id in self._open:
            transitions.request_cancel(job_id, actor=f"schedule {self._schedule.name}")
        self._done.cancelled += self._open
        self._open = []


def _refusal(schedule: Schedule, context: Context) -> str:
    """Return why its job would be refused now, ``""`` when it would not: settings change."""
    try:
        book.check(get_kind(schedule.kind), schedule.parameters, context)
    except Refused as error:
        return error.message
    return ""


def _tell(schedule: Schedule, done: Round) -> None:
    """Ring the jobs and stop those that are cancelled; the sweep does what is not done here."""
    try:
        for job_id in done.cancelled:
            jobs.stop(job_id, Reason.CANCELLED, actor=f"schedule {schedule.name}")
        if done.submitted:
            jobs.ring(schedule.kind, *done.submitted)
    except DatabaseUnavailable as error:
        log.warning("What was fired is left to the sweep", extra={"error": error.message})


def run_now(name: str, context: Context, *, actor: str) -> uuid.UUID:
    """Submit the schedule's job now, whether it is enabled or not; return the job's id.

    ``Refused`` and ``Conflict`` say why not; the overlap policy counts as it does at its times.
    """
    with transaction():
        book.locked(name)
        schedule = book.get(name)
        now = book.database_now()
        turn = Turn(schedule, now, context)
        outcome = turn.fire(now, actor=actor)
        if outcome is not Outcome.SUBMITTED:
            _raise(schedule, now, outcome)
        execute(
            "UPDATE schedules SET last_fire_at = %s WHERE id = %s",
            *(utc_value(now), schedule.id.hex),
        )
    _tell(schedule, turn.done)
    return turn.done.submitted[0]


def _raise(schedule: Schedule, moment: datetime, outcome: Outcome | None) -> None:
    """Say why nothing was submitted; that takes the row back, too."""
    if outcome is None:
        raise Conflict(f"The schedule {schedule.name!r} was run in the same moment.")
    [fire] = fires.listed(schedule.id, limit=1, before=moment + timedelta(microseconds=1))
    raise (Refused if outcome is Outcome.REFUSED else Conflict)(fire.message)


def _switch_off(schedule_id: uuid.UUID, now: datetime, error: Exception) -> None:
    """A schedule that nobody can read would be looked at for ever; its history tells why."""
    log.error(
        "A schedule cannot be read and is switched off",
        extra={"schedule_id": str(schedule_id), "error": str(error)},
    )
    with transaction():
        execute(
            "UPDATE schedules SET enabled = 0, next_fire_at = NULL WHERE id = %s", schedule_id.hex
        )
        message = f"It was switched off: {error}"
        fires.record(schedule_id, now, Outcome.REFUSED, message=message)


_seen: datetime | None = None


def _heed_clock(now: datetime) -> None:
    """When the database's clock was set back, no schedule waits for a time that lies too far ahead.

    A time that comes again has its row already. The first look of a process knows no earlier one.
    """
    global _seen
    before, _seen = _seen, now
    if before is not None and now >= before:
        return
    for schedule in book.listed(limit=MOST_SCHEDULES):
        try:
            _bring_back(schedule, now)
        except Refused:
            # Its own turn will tell.
            continue


def _bring_back(schedule: Schedule, now: datetime) -> None:
    if schedule.next_fire_at is None or schedule.next_fire_at <= now:
        return
    following = schedule.times.after(now)
    if following is not None and following < schedule.next_fire_at:
        with transaction():
            execute(
                "UPDATE schedules SET next_fire_at = %s WHERE id = %s AND next_fire_at > %s",
                *(utc_value(following), schedule.id.hex, utc_value(following)),
            )
