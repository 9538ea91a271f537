"""The end of a service job: how each of its calls ended, and what they returned."""

from collections.abc import Iterator
from typing import Any

from pipeline import jsontext
from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.kinds.service.spec import has_several
from pipeline.states import TaskState
from pipeline.store.database import stream
from pipeline.store.models import JobRow
from pipeline.store.results import unpacked

#: A job's result document holds results up to so many bytes; its tasks hold all of them.
MOST_BYTES = 1024 * 1024


def finish(job: JobRow, context: Context) -> dict[str, Any]:
    """Return how every call ended, with the results as far as there is room for them."""
    told, left = [], MOST_BYTES
    for call in outcomes(job):
        left -= len(jsontext.encoded(call.get("result")))
        if left < 0:
            call.pop("result", None)
        told.append(call)
    return {"status": status(job), "tasks": told, "is_whole": left >= 0}


def result(job: JobRow) -> dict[str, Any]:
    """Return how the job's one call ended, or all of its calls under ``tasks``."""
    told = list(outcomes(job))
    if told and not has_several(documents.mapping(job.parameters, "parameters")):
        return told[0]
    error = {} if job.state == "succeeded" else {"error": job.message}
    return {"status": status(job), "tasks": told, **error}


def status(job: JobRow) -> str:
    """Return the one word for how the job ended."""
    return "completed" if job.state == "succeeded" else "failed"


def outcomes(job: JobRow) -> Iterator[dict[str, Any]]:
    """Yield how each call ended: ``status`` (completed, failed), its ``result`` or ``error``.

    Memory holds a few hundred.
    """
    rows = stream(
        "SELECT t.seq, t.name, t.state, t.reason, t.message, t.payload, r.body, s.record"
        " FROM tasks t LEFT JOIN results r ON r.key = t.result_key"
        " LEFT JOIN service_runs s ON s.task_id = t.id"
        " WHERE t.job_id = %s AND t.seq > %s ORDER BY t.seq LIMIT %s",
        (job.id.hex, -1),
        chunk=200,
    )
    for _, *row in rows:
        yield _outcome(*row)


def _outcome(
    name: str, state: str, reason: str | None, message: str, payload: str, *more: Any
) -> dict[str, Any]:
    body, record = more
    call, document = documents.loaded(payload), unpacked(body) or {}
    is_good = state == TaskState.SUCCEEDED
    told = {
        "name": name,
        "status": "completed" if is_good else "failed",
        "task": call.get("task"),
        "step": call.get("step"),
        "user_id": call.get("user_id"),
        "state": state,
        # That of a result which was taken over is told with it.
        "context": documents.loaded(record) if record else document.get("context", {}),
    }
    if is_good:
        return {**told, "result": document.get("result")}
    return {**told, "error": message, "reason": reason}
