"""The look at every host, every few seconds: one list call each, then what follows from it.

Truth is asked from Docker; a word that was lost, a worker that was killed and a container that was
removed by hand are all found here. Safe to run anywhere, any number of times, at the same time.
"""

import logging
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache

from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.adapters.engines.model import Seen
from pipeline.core import executions, finishing, hosts, jobs, transitions, trouble
from pipeline.core.context import Context
from pipeline.core.executions import Execution
from pipeline.core.hosts import Host
from pipeline.errors import NotFound, Permanent, QuaylineError, Transient
from pipeline.kinds.container.closing import close
from pipeline.kinds.container.doorbell import ring_end, ring_stop
from pipeline.kinds.container.ending import End
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.launching import RUN_LABEL, TASK_LABEL, of_run
from pipeline.kinds.container.spec import Common, task_of
from pipeline.kinds.container.watching import Step, step_of, why_stop
from pipeline.kinds.container.work import lease_of
from pipeline.states import Reason, TaskState
from pipeline.store.database import as_uuid, execute, session
from pipeline.store.models import as_utc, seconds_since

log = logging.getLogger(__name__)

#: Hosts that are asked at the same time: one that hangs is in nobody's way.
AT_ONCE = 16
#: A container that no row knows is left alone for so long: its row may be on the way.
STRAY_S = 60.0


@dataclass(slots=True)
class Monitored:
    """What one look did."""

    running: int = 0
    ended: int = 0
    stopped: int = 0
    strays: int = 0
    hosts_away: int = 0
    lost: int = 0
    not_started: int = 0


def monitor(context: Context) -> Monitored:
    """Look at every host once; return what was done."""
    told = Monitored(not_started=_close_not_started(context))
    known = hosts.known(context.settings)
    with ThreadPoolExecutor(min(AT_ONCE, len(known)), thread_name_prefix="host") as threads:
        for each in threads.map(lambda host: _look(host, context), known):
            for name, number in asdict(each).items():
                setattr(told, name, getattr(told, name) + number)
    return told


def _look(host: Host, context: Context) -> Monitored:
    """Look at one host; what goes wrong there is in no other's way."""
    told = Monitored()
    try:
        _look_at(host, told, context)
    except QuaylineError as error:
        # Removed in the same moment, or not to be opened from here; the database may be away.
        if isinstance(error, Transient):
            trouble.note(error)
        log.warning("A host was not looked at", extra={"host": host.name, "error": error.message})
    return told


def _look_at(host: Host, told: Monitored, context: Context) -> None:
    # The rows first: what is launched later is in neither, what is gone later is asked again.
    rows = executions.alive(host.name)
    engine = engine_of(host, context.settings)
    try:
        listed = engine.listed()
    except EngineUnavailable as error:
        hosts.note_away(host.name, error.message)
        told.hosts_away = 1
        told.lost = _without_host(host, rows, context)
        return
    hosts.note_here(host.name)
    by_name = {seen.name: seen for seen in listed}
    kept = [each for each in rows if _act(each, of_run(by_name.get(each.container), each), told)]
    transitions.renew(kept, lease_s=lease_of(context))
    for seen in strays_of(listed, rows):
        log.warning("A container that no job needs is removed", extra={"container": seen.name})
        engine.remove(seen.name)
        told.strays += 1


def _act(execution: Execution, seen: Seen | None, told: Monitored) -> bool:
    """Do what is to be done about the execution; True when its lease is to be renewed."""
    step = step_of(execution, seen)
    if step is Step.COLLECT:
        told.ended += 1
        ring_end(execution.task_id)
        # Nobody has lost it: its end waits to be collected.
        return execution.is_current
    if step is not Step.KEEP:
        return False
    told.running += 1
    task = _task(execution.job_id)
    why = why_stop(execution, task) if task else None
    if why is not None:
        told.stopped += 1
        executions.request_stop(execution.task_id, execution.run, why)
        ring_stop(execution.task_id)
    return True


def _task(job_id: uuid.UUID) -> Common | None:
    """Return what the job's container may do; None when its row cannot be read."""
    try:
        return _read(job_id)
    except (NotFound, Permanent):
        return None


@lru_cache(maxsize=4096)
def _read(job_id: uuid.UUID) -> Common:
    return task_of(jobs.get(job_id))


def _without_host(host: Host, rows: Sequence[Execution], context: Context) -> int:
    """Bear with a host that is away; after the grace its containers are lost. Return how many.

    They may still run there, so none of them runs again elsewhere.
    """
    current = [each for each in rows if each.is_current and each.launched_at is not None]
    if host.away_s < context.settings.host_grace_s:
        transitions.renew(current, lease_s=lease_of(context))
        return 0
    sentence = f"The host {host.name} has been away for {host.away_s:.0f} s: {host.error}"
    for execution in current:
        close(execution, End(TaskState.FAILED, Reason.HOST_LOST, sentence), context)
    return len(current)


def strays_of(listed: Sequence[Seen], rows: Sequence[Execution]) -> Iterator[Seen]:
    """Yield the containers of ours that no row needs: neither these rows nor any other."""
    names = {each.container for each in rows}
    yield from (seen for seen in listed if seen.name not in names and _is_stray(seen))


def _is_stray(seen: Seen) -> bool:
    try:
        execution = executions.get(uuid.UUID(seen.labels.get(TASK_LABEL, "")))
    except ValueError:
        return True
    except NotFound:
        return seen.age_s >= STRAY_S
    return execution.removed_at is not None or seen.labels.get(RUN_LABEL) != str(execution.run)


def _close_not_started(context: Context) -> int:
    """Close jobs whose container was never started, and not in time; return how many."""
    with session():
        rows = execute(
            "SELECT id, created_at FROM jobs WHERE kind = 'container' AND state = 'running'"
            " AND EXISTS (SELECT 1 FROM tasks WHERE tasks.job_id = jobs.id"
            " AND tasks.state = 'pending')"
            " AND NOT EXISTS (SELECT 1 FROM executions WHERE executions.job_id = jobs.id"
            " AND (executions.launched_at IS NOT NULL OR executions.run > 1))"
        )
    return sum(_close_late(as_uuid(row[0]), as_utc(row[1]), context) for row in rows)


def _close_late(job_id: uuid.UUID, created_at: datetime | None, context: Context) -> bool:
    task = _task(job_id)
    if task is None or seconds_since(created_at) <= task.schedule_to_start_s:
        return False
    sentence = f"No host could start it within {task.schedule_to_start_s:g} s."
    actor = context.settings.worker_name
    state, reason = TaskState.TIMED_OUT, Reason.NOT_STARTED
    if transitions.close_pending(job_id, state, reason, sentence, actor=actor):
        finishing.announce(job_id)
    return True
