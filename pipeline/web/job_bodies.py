"""Jobs on the wire: what is asked for, and how they are shown."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core import documents
from pipeline.settings import MOST_S
from pipeline.store.models import JobRow
from pipeline.web.job_rows import COUNTS, PLAIN, TIMES

Label = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
KindName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00\r\n]+$")]
MOST_LABELS = 50


class JobRequest(BaseModel):
    """What a submitter asks for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "container",
                "parameters": {
                    "task_name": "shop",
                    "task_type": "custom",
                    "docker_image": "data-collection-crawler:latest",
                },
                "priority": 5,
                "labels": {"team": "web"},
            }
        },
    )

    kind: KindName = Field(description="sql_lint, container, …: `GET /api/v1/kinds`.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The kind's own; unknown keys are refused."
    )
    priority: int = Field(5, ge=0, le=9, description="9 is the most urgent.")
    labels: dict[Label, Label] = Field(
        default_factory=dict, max_length=MOST_LABELS, description="Words to find it by."
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="What has not ended by then is timed out."
    )
    name: Name | None = Field(None, description="What people call its source.")


class Counts(BaseModel):
    """The job's tasks, by how they ended."""

    total: int
    done: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    reused: int = Field(description="Of those that succeeded: taken from an earlier job.")


class JobSummary(BaseModel):
    """A job as lists show it."""

    id: uuid.UUID
    kind: str
    state: str = Field(
        description="pending, running, succeeded, partial, failed, timed_out or cancelled."
    )
    reason: str | None = Field(description="Why, as a closed code.")
    message: str = Field(description="Why, in words.")
    stage: str
    priority: int
    owner: str
    labels: dict[str, Any]
    name: str | None = Field(description="The name of its source.")
    counts: Counts
    created_at: datetime
    started_at: datetime | None
    planned_at: datetime | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    finished_at: datetime | None
    finalized_at: datetime | None = Field(description="From then on its result and reports stand.")


class Job(JobSummary):
    """A job with its documents."""

    idempotency_key: str | None
    source: dict[str, Any] | None
    parameters: dict[str, Any] | None = Field(
        description="As submitted; shown to its owner alone, since they may hold secrets."
    )
    result: dict[str, Any] | None = Field(description="Its verdict or summary; null until then.")


class Changed(BaseModel):
    """Whether a request changed anything, and the job as it stands now."""

    changed: bool = Field(description="False: it had ended, or was asked for before.")
    job: Job


class JobProgress(BaseModel):
    """How far a job is."""

    state: str
    stage: str
    message: str
    total: int
    done: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    reused: int
    planned: bool = Field(description="False: `total` still grows.")
    finalized: bool = Field(description="True: its result and reports stand.")
    elapsed_s: float
    rate_per_s: float
    eta_s: float | None = Field(description="Seconds left at this rate; null: nobody knows.")


class Event(BaseModel):
    """One step in a job's history."""

    id: int
    at: datetime
    actor: str = Field(description="Who did it: an owner, a worker, the sweep.")
    subject: str = Field(description="`job` or `tasks`.")
    from_state: str | None
    to_state: str
    reason: str | None
    message: str
    tasks: Any = Field(description="Which tasks: runs of their places.")


class TaskResult(BaseModel):
    """One task of a job, with what it produced."""

    seq: int = Field(description="Its place in the job.")
    id: uuid.UUID
    name: str = Field(description="The path of its file, or its own name.")
    state: str
    reason: str | None
    message: str
    attempt: int
    size_bytes: int
    result: dict[str, Any] | None = Field(description="The kind's own document.")


def summary(row: Mapping[str, Any]) -> JobSummary:
    """Return the row of a list."""
    return JobSummary(**_common(row))


def whole(row: JobRow, *, reader: str) -> Job:
    """Return the job as this reader may see it."""
    told = dict(row.__data__)
    return Job(
        **_common(told),
        idempotency_key=row.idempotency_key,
        source=_object(told["source"]),
        parameters=_object(told["parameters"]) if row.owner == reader else None,
        result=_object(told["result"]),
    )


def _common(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: row[name] for name in COUNTS}
    done = sum(counts[name] for name in ("succeeded", "failed", "timed_out", "cancelled"))
    source = _object(row["source"]) or {}
    name = source.get("name")
    return {
        **{name: row[name] for name in (*PLAIN, *TIMES)},
        "labels": _object(row["labels"]) or {},
        "name": name if isinstance(name, str) else None,
        "counts": Counts(**counts, done=done),
    }


def _object(told: Any) -> dict[str, Any] | None:
    return None if told is None else documents.mapping(told, "document")
