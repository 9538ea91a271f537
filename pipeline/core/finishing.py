"""What happens once a job has ended: its reports, then the mark that they stand."""

import logging
import uuid
from contextlib import suppress

from pipeline import broker, failpoints, logs
from pipeline.core import jobs, retries, transitions, trouble
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.kinds import get_kind
from pipeline.errors import (
    DatabaseUnavailable,
    Permanent,
    QuaylineError,
    StorageUnavailable,
    Transient,
)
from pipeline.failpoints import Point
from pipeline.states import Reason
from pipeline.store.database import execute, transaction
from pipeline.store.models import JobRow, seconds_since

log = logging.getLogger(__name__)

QUEUE = "monitoring"
ACTOR = "finish_job"


def announce(job_id: uuid.UUID) -> None:
    """Send the finish message of an ended job; on failure its row says at once that it is due."""
    if not broker.send([broker.message(QUEUE, ACTOR, str(job_id), job_id=job_id)]):
        with suppress(DatabaseUnavailable), transaction():
            execute("UPDATE jobs SET hinted_at = NULL WHERE id = %s", job_id.hex)


def run_finish(job_id: uuid.UUID, context: Context) -> None:
    """Write the reports of an ended job if that is due and nobody else does."""
    settings = context.settings
    attempt = transitions.claim_job(
        job_id, phase="finish", worker=settings.worker_name, lease_s=settings.lease_s
    )
    if attempt is None:
        return
    failpoints.reach(Point.FINISH_CLAIMED)
    try:
        job = jobs.get(job_id)
    except Permanent as error:
        _without_reports(job_id, attempt, error, context)
        return

    def renew() -> bool:
        return transitions.renew_job(job_id, attempt, lease_s=settings.lease_s)

    with logs.bind(job_id=str(job_id)), Heartbeat(job_id, renew, lease_s=settings.lease_s):
        try:
            result = get_kind(job.kind).finish(job, context)
        except Permanent as error:
            _without_reports(job_id, attempt, error, context)
        except QuaylineError as error:
            _unfinished(job, attempt, error, context)
        except Exception:
            log.exception("The reports could not be written")
            text = "Writing the reports failed; the log has the traceback."
            _unfinished(job, attempt, Transient(text), context)
        else:
            failpoints.reach(Point.REPORTED)
            transitions.finalized(job_id, attempt, result, actor=settings.worker_name)
            failpoints.reach(Point.FINALIZED)


def _without_reports(
    job_id: uuid.UUID, attempt: int, error: QuaylineError, context: Context
) -> None:
    """Close the job with the sentence of what went wrong in its result."""
    told = {"error": error.message}
    transitions.finalized(job_id, attempt, told, actor=context.settings.worker_name)


def _unfinished(job: JobRow, attempt: int, error: QuaylineError, context: Context) -> None:
    """Try again later, or close the job without its reports."""
    settings = context.settings
    trouble.note(error)
    # If this cannot be written either, the lease lapses.
    with suppress(DatabaseUnavailable):
        if isinstance(error, (DatabaseUnavailable, StorageUnavailable)):
            decision = retries.bear(error.reason, attempt, seconds_since(job.finished_at), settings)
        else:
            decision = retries.decide(Reason.ERROR, attempt, settings)
        if decision.state == "failed":
            _without_reports(job.id, attempt, error, context)
            return
        transitions.put_back_job(
            *(job.id, attempt, decision.delay_s, error.message),
            actor=settings.worker_name,
            forgiven=decision.forgiven,
        )
