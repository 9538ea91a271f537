"""Makes the calls of one batch: light ones in threads, heavy ones each in a child process."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.heartbeat import Heartbeat
from pipeline.core.runner import Ending, Ledger
from pipeline.core.tasks import Claim
from pipeline.errors import Permanent
from pipeline.kinds.service import accounts, folders, offers, passing, registry
from pipeline.kinds.service.accounts import Account, Before
from pipeline.kinds.service.batch import Batch
from pipeline.kinds.service.children import ChildCall
from pipeline.kinds.service.flights import MOST_HEAVY_S, MOST_LIGHT_S, Flying, Ready
from pipeline.kinds.service.runs import call_of, run_of
from pipeline.kinds.service.spec import HEAVY, Call
from pipeline.kinds.service.threads import ThreadCall
from pipeline.states import Reason, TaskState
from pipeline.store.database import execute, session
from pipeline.store.models import JobRow
from pipeline.store.results import unpacked

STOPPED = "Another call of the job has failed."


def work(
    job: JobRow, claims: Sequence[Claim], ledger: Ledger, beat: Heartbeat, context: Context
) -> None:
    """Make the claimed calls; each ends in the ledger as it comes."""
    settings = context.settings
    registry.load(settings.service_module_list)
    offers.announce_now_and_then()
    folders.tidy_now_and_then()
    # Not the whole of what was asked: a job may have thousands of inputs, and this is one batch.
    stops = documents.mapping(job.parameters, "parameters").get("on_failure") == "stop"
    if stops and job.failed + job.timed_out:
        # They were planned, or on their way, when another one failed.
        ledger.stop(TaskState.CANCELLED, Reason.CANCELLED, STOPPED)
        return

    is_heavy = job.kind == HEAVY

    def begin(ready: Ready) -> Flying:
        told = (ready.offer, ready.run, ready.account.note)
        if is_heavy:
            return ChildCall(*told, settings)
        return ThreadCall(*told, most_bytes=settings.service_output_bytes)

    most_call_s = MOST_HEAVY_S if is_heavy else MOST_LIGHT_S
    batch = Batch(ledger, beat, context, begin, most_call_s=most_call_s)
    for ready in _ready(job.id, claims, ledger):
        batch.add(ready)
    batch.run(stop_at_failure=stops)
    if stops and batch.has_failed and not beat.stopped():
        # What is pending was cancelled with the end of the one that failed.
        ledger.stop(TaskState.CANCELLED, Reason.CANCELLED, STOPPED)


def _ready(job_id: uuid.UUID, claims: Sequence[Claim], ledger: Ledger) -> Iterator[Ready]:
    """Yield the calls that can be made; a task whose call cannot has ended."""
    before = accounts.before(claims)
    for claim in claims:
        try:
            call = call_of(claim)
            offer = registry.find(call.mode, call.service)
            needs = _results(job_id, call)
            given = passing.filled(call.input, needs)
        except Permanent as error:
            ledger.add(Ending(claim, error.reason, error.message))
            continue
        known = before.get(claim.id, Before())
        called = {"mode": offer.mode, "service": offer.name, "task": call.task}
        account = Account(claim, user_id=call.user_id, step=call.step, before=known, **called)
        run = run_of(claim, job_id, call, given, needs, known.checkpoint)
        yield Ready(claim, offer, run, account, known.since_s)


def _results(job_id: uuid.UUID, call: Call) -> Mapping[str, Any]:
    """Return the results of the steps that the call needs, of those that have one."""
    if not call.needs:
        return {}
    marks = ", ".join(["%s"] * len(call.needs))
    with session():
        rows = execute(
            "SELECT t.seq, r.body FROM tasks t JOIN results r ON r.key = t.result_key"
            f" WHERE t.job_id = %s AND t.state = 'succeeded' AND t.seq IN ({marks})",
            *(job_id.hex, *call.needs.values()),
        )
    found = {place: (unpacked(body) or {}).get("result") for place, body in rows}
    return {name: found[place] for name, place in call.needs.items() if place in found}
