"""Launches one container and returns: no message is held while it runs."""

import logging
from collections.abc import Sequence

from pipeline import broker, failpoints
from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.core import executions, hosts, transitions
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ledger
from pipeline.core.tasks import Claim
from pipeline.errors import Permanent, Refused
from pipeline.failpoints import Point
from pipeline.kinds.container.closing import close
from pipeline.kinds.container.doorbell import ring_end
from pipeline.kinds.container.ending import End
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.launching import launch, placed
from pipeline.kinds.container.spec import Common, admit, task_of
from pipeline.states import Reason, TaskState
from pipeline.store.models import JobRow

log = logging.getLogger(__name__)

#: Longest pause before a task asks for a slot again.
MOST_PAUSE_S = 60.0


def work(
    job: JobRow, claims: Sequence[Claim], ledger: Ledger, beat: Heartbeat, context: Context
) -> None:
    """Launch the claimed tasks' containers and leave them to the monitor."""
    task = task_of(job)
    try:
        # What was allowed when it was submitted may have been withdrawn since.
        admit(task, context.settings)
    except Refused as error:
        raise Permanent(error.message, reason=error.reason) from error
    for claim in claims:
        if beat.stopped():
            return
        if broker.stopping():
            ledger.hand_back(Reason.WORKER_LOST, "The worker was asked to stop.")
            return
        _launch(claim, task, ledger, context)


def _launch(claim: Claim, task: Common, ledger: Ledger, context: Context) -> None:
    settings = context.settings
    found = placed(claim, ledger.job_id, task.host_labels, settings)
    if found is None:
        pause_s = min(MOST_PAUSE_S, settings.monitor_s * claim.attempt)
        ledger.postpone(claim, "No host has a free slot for it.", delay_s=pause_s)
        return
    execution, host = found
    failpoints.reach(Point.PLACED)
    engine = engine_of(host, settings)
    try:
        seen = launch(execution, task, engine, context)
    except EngineUnavailable as error:
        hosts.note_away(host.name, error.message)
        ledger.postpone(claim, error.message, delay_s=settings.backoff_s)
        return
    except Permanent as error:
        ledger.leave(claim)
        now = executions.get(claim.id)
        close(now, End(TaskState.FAILED, error.reason, error.message), context)
        engine.remove(execution.container)
        executions.removed(now.task_id, now.run)
        return
    lease_s = lease_of(context)
    transitions.detach(claim, holder=f"{host.name}/{execution.container}", lease_s=lease_s)
    failpoints.reach(Point.DETACHED)
    ledger.leave(claim)
    if seen.has_ended:
        ring_end(claim.id)


def lease_of(context: Context) -> float:
    """Return how long a running container is believed in when nobody looks at it."""
    return max(context.settings.lease_s, 10 * context.settings.monitor_s)
