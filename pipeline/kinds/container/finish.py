"""The end of a container job: what its containers returned, without logs and files."""

from typing import Any

from pipeline.core import jobs
from pipeline.core.context import Context
from pipeline.store.models import JobRow

KEPT = ("exit_code", "oom_killed", "success", "result", "error", "output_files", "output_bytes")


def finish(job: JobRow, context: Context) -> dict[str, Any]:
    """Return how each task ended and what it returned."""
    return {"executions": [_summary(task) for task in jobs.tasks(job.id)]}


def _summary(task: dict[str, Any]) -> dict[str, Any]:
    told = {key: task[key] for key in ("name", "state", "reason", "message")}
    result = task["result"] or {}
    return {"id": str(task["id"]), **told, **{key: result.get(key) for key in KEPT}}
