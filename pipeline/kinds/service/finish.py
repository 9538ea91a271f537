"""The end of a service job: how each of its calls ended, and what they returned."""

from collections.abc import Iterator
from typing import Any

from pipeline import jsontext
from pipeline.core import documents, jobs
from pipeline.core.context import Context
from pipeline.states import TaskState
from pipeline.store.database import execute, session
from pipeline.store.models import JobRow

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
    if len(told) == 1 and "steps" not in job.parameters and "inputs" not in job.parameters:
        return told[0]
    error = {} if job.state == "succeeded" else {"error": job.message}
    return {"status": status(job), "tasks": told, **error}


def status(job: JobRow) -> str:
    """Return the one word for how the job ended."""
    return "completed" if job.state == "succeeded" else "failed"


def outcomes(job: JobRow) -> Iterator[dict[str, Any]]:
    """Yield how each call ended: ``status`` (completed, failed), its ``result`` or ``error``."""
    records = _records(job)
    for row in jobs.tasks(job.id):
        document = row["result"] or {}
        kept = records.get(row["seq"], {})
        told = {
            "name": row["name"],
            "status": "completed" if row["state"] == TaskState.SUCCEEDED else "failed",
            "task": kept.get("task") or document.get("task"),
            "step": kept.get("step") or document.get("step"),
            "user_id": kept.get("user_id", ""),
            "state": row["state"],
            "context": document.get("context") or kept.get("record") or {},
        }
        if row["state"] == TaskState.SUCCEEDED:
            yield {**told, "result": document.get("result")}
        else:
            yield {**told, "error": row["message"], "reason": row["reason"]}


def _records(job: JobRow) -> dict[int, dict[str, Any]]:
    """Return what the rows of the calls and of their runs say, by place."""
    with session():
        rows = execute(
            "SELECT t.seq, t.payload, s.record FROM tasks t LEFT JOIN service_runs s"
            " ON s.task_id = t.id WHERE t.job_id = %s",
            job.id.hex,
        )
    found = {}
    for place, payload, record in rows:
        call = documents.loaded(payload)
        found[place] = {name: call.get(name) for name in ("task", "step", "user_id")}
        found[place]["record"] = documents.loaded(record) if record else {}
    return found
