"""What containers send and are answered: the bodies of heartbeats and completions."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.core.executions import Answer, Execution

#: The names under which a progress may carry its percentage.
PERCENTAGES = ("percentage", "percent")


def _progress(told: Any) -> Any:
    """Return a progress as a mapping: a bare number is a percentage."""
    if told is None:
        return None
    if isinstance(told, dict):
        for name in PERCENTAGES:
            if told.get(name) is not None:
                _check_percentage(told[name], name)
        return told
    _check_percentage(told, "progress")
    return {"percentage": told}


def _check_percentage(told: Any, name: str) -> None:
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise ValueError(f"{name} is a number from 0 to 100")
    if not 0 <= told <= 100:
        raise ValueError(f"{name} is from 0 to 100")


Progress = Annotated[
    dict[str, Any] | None,
    BeforeValidator(
        _progress,
        json_schema_input_type=dict[str, Any] | Annotated[float, Field(ge=0, le=100)] | None,
    ),
]
Text = Annotated[str, Field(max_length=255)]


class Heartbeat(BaseModel):
    """A sign of life of a container, with how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "execution_id": "550e8400-e29b-41d4-a716-446655440000",
                "container_name": "task-550e8400-e29b-41d4-a716-446655440000",
                "status": "running",
                "progress": {"stage": "pages", "current_step": 3, "percentage": 30.0},
                "timestamp": 1764164427,
            }
        }
    )

    execution_id: uuid.UUID = Field(description="TASK_EXECUTION_ID.")
    container_name: Text = Field("", description="HOSTNAME, or any name of its own.")
    status: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "running", description="A word of its own for what it does."
    )
    progress: Progress = Field(
        None,
        description="A percentage, or an object that may hold one (`percentage`) and what else"
        " it likes; the last one is kept when it is left out.",
    )
    timestamp: float | None = Field(
        None, ge=0, description="Its clock, in seconds since 1970; the service's own clock counts."
    )


class Completion(BaseModel):
    """How a container's work ended, in its own words."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "execution_id": "550e8400-e29b-41d4-a716-446655440000",
                "container_name": "task-550e8400-e29b-41d4-a716-446655440000",
                "success": True,
                "result_data": {"processed_records": 1000, "output_files": ["result.json"]},
                "error_message": None,
            }
        }
    )

    execution_id: uuid.UUID = Field(description="TASK_EXECUTION_ID.")
    container_name: Text = Field("", description="HOSTNAME, or any name of its own.")
    success: bool = Field(description="Whether it did what it was to do.", strict=True)
    result_data: dict[str, Any] | None = Field(None, description="What it has to show for it.")
    error_message: Annotated[str, Field(max_length=20_000)] | None = Field(
        None, description="Why it did not."
    )


class Answered(BaseModel):
    """What a callback is answered."""

    status: str = Field(
        description="`ok`: it is noted. `ignored`: nothing changed, since that run has ended, or"
        " has told its end before."
    )
    cancel: bool = Field(description="True: end soon, the result is no longer wanted.")

    @classmethod
    def of(cls, answer: Answer) -> "Answered":
        """Return the answer's form on the wire."""
        return cls(status="ok" if answer.live else "ignored", cancel=answer.cancel)


class LastHeartbeat(BaseModel):
    """The last sign of life of an execution."""

    execution_id: uuid.UUID
    container_name: str | None = Field(description="What it called itself; None before.")
    status: str | None = Field(description="Its own word; None before the first heartbeat.")
    progress: dict[str, Any] | None
    heartbeat_at: datetime | None = Field(description="By the database's clock.")
    age_s: float | None = Field(description="Seconds since then.")
    attempt: int

    @classmethod
    def of(cls, told: Execution) -> "LastHeartbeat":
        """Return the execution's part of it."""
        return cls(
            execution_id=told.task_id,
            container_name=told.container_name,
            status=told.status,
            progress=told.progress,
            heartbeat_at=told.heartbeat_at,
            age_s=None if told.heartbeat_at is None else told.age_s(told.heartbeat_at),
            attempt=told.attempt,
        )


class ExecutionStatus(BaseModel):
    """An execution as it stands: its task's state, where it runs, what it said, how it ended."""

    execution_id: uuid.UUID
    job_id: uuid.UUID
    kind: str
    state: str = Field(description="pending, running, succeeded, failed, timed_out, cancelled.")
    reason: str | None = Field(description="Why, as a closed code.")
    message: str = Field(description="Why, in words.")
    attempt: int
    run: int = Field(description="How often something was launched for it.")
    host: str
    container: str = Field(description="The container's name on its host.")
    container_name: str | None
    status: str | None = Field(description="The container's own word.")
    progress: dict[str, Any] | None
    placed_at: datetime
    launched_at: datetime | None
    heartbeat_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None = Field(description="When it told its end.")
    finished_at: datetime | None = Field(description="When its task ended.")
    success: bool | None
    result: dict[str, Any] | None
    error: str | None
    exit_code: int | None
    cancel_requested: bool

    @classmethod
    def of(cls, told: Execution) -> "ExecutionStatus":
        """Return the execution's form on the wire."""
        names = cls.model_fields.keys() - {"execution_id"}
        return cls(execution_id=told.task_id, **{name: getattr(told, name) for name in names})
