"""How a call of a service stands, in the words of who has submitted it: PENDING, RUNNING, ….

A call is known by the id of its task, or by that of its job: a submitter has the job's at once, the
task's is there when the job was planned.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.core import documents, jobs
from pipeline.errors import NotFound
from pipeline.kinds.service.spec import KIND_NAMES, has_several
from pipeline.states import TERMINAL_JOB, JobState
from pipeline.store.database import as_uuid, execute, session
from pipeline.store.models import JobRow
from pipeline.store.results import unpacked


class Status(StrEnum):
    """Where a call stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"

    @property
    def has_ended(self) -> bool:
        """True when it stays so."""
        return self not in (Status.PENDING, Status.RUNNING)


_STATUSES = {
    **{str(state): Status[state.name] for state in JobState if state.name in Status.__members__},
    "succeeded": Status.COMPLETED,
    # Of several calls some have failed: what was asked for is not there.
    "partial": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One call, or all calls of a job that has several.

    ``result`` is there when it is completed, ``error`` and ``reason`` when it ended otherwise;
    ``partial`` is what it has given so far, from its character ``partial_from`` on. Of a job of
    several calls ``result`` is the job's result document, however it ended.
    """

    task_id: uuid.UUID
    job_id: uuid.UUID
    owner: str
    status: Status
    mode: str = ""
    service: str = ""
    task: str = ""
    step: int = 1
    attempt: int = 0
    result: Any = None
    error: str | None = None
    reason: str | None = None
    progress: dict[str, Any] | None = None
    partial: str = ""
    partial_from: int = 0
    context: dict[str, Any] = field(default_factory=dict)


def standing(told: uuid.UUID) -> Standing:
    """Return how the call of that task stands, or that of the job of that id; ``NotFound``."""
    found = _call("t.id = %s", told)
    if found is not None:
        return found
    with session():
        row = JobRow.get_or_none((JobRow.id == told) & (JobRow.kind.in_(KIND_NAMES)))
    if row is None:
        raise NotFound(f"There is no task {told} of a service.")
    # Read whole by those who look at jobs: what cannot be read is told in one way.
    job = jobs.get(told)
    if has_several(documents.mapping(job.parameters, "parameters")):
        return _of_several(job)
    return _call("t.job_id = %s", told, task_id=told) or _unplanned(job)


_SELECT = (
    "SELECT t.id, t.job_id, j.owner, t.state, t.reason, t.message, t.attempt, t.payload, r.body,"
    " s.progress, s.partial, s.partial_from, s.record FROM tasks t JOIN jobs j ON j.id = t.job_id"
    " LEFT JOIN results r ON r.key = t.result_key LEFT JOIN service_runs s ON s.task_id = t.id"
)


def _call(where: str, told: uuid.UUID, *, task_id: uuid.UUID | None = None) -> Standing | None:
    with session():
        rows = execute(
            f"{_SELECT} WHERE {where} AND j.kind IN (%s, %s) ORDER BY t.seq LIMIT 1",
            *(told.hex, *KIND_NAMES),
        )
    for own_id, job_id, owner, state, reason, message, attempt, payload, body, *run in rows:
        progress, partial, partial_from, record = run
        call, document = documents.loaded(payload), unpacked(body) or {}
        status = _STATUSES[state]
        has_failed = status.has_ended and status is not Status.COMPLETED
        return Standing(
            task_id=task_id or as_uuid(own_id),
            job_id=as_uuid(job_id),
            owner=owner,
            **_names(call),
            step=int(call.get("step", 1)),
            status=status,
            attempt=attempt,
            result=document.get("result"),
            error=message if has_failed else None,
            reason=reason if has_failed else None,
            progress=documents.loaded(progress) if progress else None,
            partial=partial or "",
            partial_from=partial_from or 0,
            context=document.get("context") or (documents.loaded(record) if record else {}),
        )
    return None


def _names(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(told.get(name) or "") for name in ("mode", "service", "task")}


def _unplanned(job: JobRow) -> Standing:
    """Return the job's own standing: its one call has no task yet, or will have none."""
    told = documents.mapping(job.parameters, "parameters")
    status = _STATUSES[job.state] if job.state in TERMINAL_JOB else Status.PENDING
    return Standing(**_of_job(job, status), **_names(told), step=int(told.get("step", 1)))


def _of_several(job: JobRow) -> Standing:
    told = documents.mapping(job.parameters, "parameters")
    done = {"fraction": job.done / job.total if job.total else None, "message": job.message}
    return Standing(
        **_of_job(job, _STATUSES[job.state]),
        **_names(told),
        progress={**done, "details": {"done": job.done, "total": job.total}},
        result=job.result,
    )


def _of_job(job: JobRow, status: Status) -> dict[str, Any]:
    has_failed = status.has_ended and status is not Status.COMPLETED
    return {
        **{"task_id": job.id, "job_id": job.id, "owner": job.owner, "status": status},
        "error": (job.message or f"The job ended as {job.state}.") if has_failed else None,
        "reason": job.reason if has_failed else None,
    }
