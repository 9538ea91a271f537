"""A service job has a task for each call.

One that is submitted again (``retry_of``) takes over what the job before it reached: the results of
the same owner's job with the same parameters.
"""

import uuid
from contextlib import suppress
from itertools import islice

from pipeline import jsontext
from pipeline.core.context import Context
from pipeline.core.planning import Planning
from pipeline.core.tasks import NewTask
from pipeline.kinds.service.spec import MOST_STEPS, Call, calls, parameters_of
from pipeline.states import Reason, RunWhen, TaskState
from pipeline.store import results
from pipeline.store.database import execute, session
from pipeline.store.models import JobRow

#: Tasks of one insert. All steps of a job are in one: they are inserted with what they need.
CHUNK = MOST_STEPS

TRIGGERS = {"all_succeeded": RunWhen.ALL_SUCCEEDED, "all_done": RunWhen.ALL_ENDED}


def plan(job: JobRow, planning: Planning, context: Context) -> None:
    """Insert the tasks."""
    parameters, reached = parameters_of(job), _reached(job)
    stops = parameters.on_failure == "stop"
    places = enumerate(calls(parameters))
    while chunk := list(islice(places, CHUNK)):
        planning.add([_task(place, call, reached.get(place), stops) for place, call in chunk])


def _task(place: int, call: Call, result_key: str | None, stops: bool) -> NewTask:
    payload = call.model_dump()
    size_bytes = len(jsontext.encoded(payload))
    if result_key is not None:
        return NewTask(
            *(place, call.name, size_bytes, payload, TaskState.SUCCEEDED, Reason.REUSED),
            result_key=result_key,
        )
    return NewTask(
        *(place, call.name, size_bytes, payload),
        needs=tuple(call.needs.values()),
        run_when=TRIGGERS[call.trigger],
        stops=stops,
    )


def _reached(job: JobRow) -> dict[int, str]:
    """Return the keys of the results, by place, that the job before this one has."""
    told = job.labels.get("retry_of") if isinstance(job.labels, dict) else None
    before = None
    with suppress(ValueError):
        before = uuid.UUID(str(told)) if told else None
    if before is None:
        return {}
    with session():
        found = JobRow.get_or_none(
            (JobRow.id == before) & (JobRow.owner == job.owner) & (JobRow.kind == job.kind)
        )
        if found is None or found.parameters != job.parameters:
            return {}
        rows = execute(
            "SELECT seq, result_key FROM tasks WHERE job_id = %s AND state = 'succeeded'"
            " AND result_key IS NOT NULL",
            before.hex,
        )
    known = results.known(key for _, key in rows)
    return {place: key for place, key in rows if key in known}
