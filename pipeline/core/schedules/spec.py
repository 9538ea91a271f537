"""What a user asks of a schedule, checked before anything is stored."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pipeline.core.repeating import MOST_LABELS, KindName, Label, Name
from pipeline.core.templates.ref import Ref
from pipeline.core.templates.variables import MOST_VARIABLES
from pipeline.core.triggers import Cron, Every, Once, When
from pipeline.settings import MOST_S
from pipeline.states import CatchUp, Overlap

Zone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+\-/]{1,64}$")]
Expression = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9*,/\- ]+$")]


class Outcome(StrEnum):
    """What came of one time."""

    SUBMITTED = "submitted"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_CATCH_UP = "skipped_catch_up"
    REFUSED = "refused"


class Timing(BaseModel):
    """One of three: a cron expression, an interval, a moment."""

    cron: Expression | None = Field(
        None, description="Minute, hour, day, month, weekday (0 and 7 are Sunday)."
    )
    every_s: Annotated[float, Field(ge=1, le=12 * MOST_S)] | None = Field(
        None, description="Seconds from one time to the next."
    )
    at: AwareDatetime | None = Field(None, description="The one moment.")

    @property
    def triggers(self) -> list[str]:
        """Which of the three were given."""
        told = {"cron": self.cron, "every_s": self.every_s, "at": self.at}
        return [name for name, value in told.items() if value is not None]


class ScheduleRequest(Timing):
    """A schedule that is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "shop-nightly",
                "kind": "container",
                "parameters": {
                    "task_name": "shop",
                    "task_type": "custom",
                    "docker_image": "data-collection-crawler:latest",
                },
                "cron": "30 2 * * *",
                "timezone": "Europe/Berlin",
                "catch_up": "once",
                "overlap": "skip",
            }
        },
    )

    name: Name = Field(description="What it is called; no two have one name.")
    kind: KindName | None = Field(
        None, description="container, …: `GET /api/v1/kinds`; null: that of `from_job`."
    )
    parameters: dict[str, Any] | None = Field(
        None, description="The kind's own; null: those of `from_job`."
    )
    from_job: uuid.UUID | None = Field(
        None, description="A job whose stored source is used again each time (sql_lint needs one)."
    )
    template: Ref | None = Field(
        None,
        description="`NAME` or `NAME@VERSION`, in place of kind, parameters and from_job: that"
        " version as it is now. Priority and deadline are its own where none are told.",
    )
    variables: dict[str, Any] = Field(
        default_factory=dict, max_length=MOST_VARIABLES, description="The template's values."
    )
    priority: int = Field(5, ge=0, le=9, description="Of its jobs; 9 is the most urgent.")
    labels: dict[Label, Label] = Field(
        default_factory=dict,
        max_length=MOST_LABELS - 1,
        description="Of its jobs, besides `schedule`, which is its name.",
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="A job that has not ended by then is timed out."
    )
    timezone: Zone | None = Field(
        None, description="Where the cron expression counts; null: QUAYLINE_TIMEZONE."
    )
    enabled: bool = Field(True, description="False: it does not fire yet.")
    catch_up: CatchUp = Field(
        CatchUp.ONCE, description="Times missed while no scheduler ran: skip, once or all."
    )
    overlap: Overlap = Field(
        Overlap.SKIP, description="While its last job is open: allow, skip or cancel_previous."
    )

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if len(self.triggers) != 1:
            raise ValueError("Give one of cron, every_s and at")
        return self

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        others = (self.kind, self.parameters, self.from_job)
        if self.template is not None and any(each is not None for each in others):
            raise ValueError("Beside a template there is no kind, parameters or from_job")
        if self.template is None and self.variables:
            raise ValueError("Variables are those of a template; name it")
        return self


class ScheduleChange(Timing):
    """What is to be another; what is not named stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"cron": "0 3 * * 1-5", "enabled": True}},
    )

    parameters: dict[str, Any] | None = Field(None, description="The kind's own, whole.")
    priority: int | None = Field(None, ge=0, le=9, description="Of its jobs.")
    labels: dict[Label, Label] | None = Field(
        None, max_length=MOST_LABELS - 1, description="Of its jobs."
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="Of its jobs; null: they have none."
    )
    timezone: Zone | None = Field(None, description="Where the cron expression counts.")
    enabled: bool | None = Field(
        None, description="False: it does not fire; true: it fires from now on."
    )
    catch_up: CatchUp | None = Field(None, description="Times missed while no scheduler ran.")
    overlap: Overlap | None = Field(None, description="While its last job is open.")

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if len(self.triggers) > 1:
            raise ValueError("Give one of cron, every_s and at")
        return self


def when(told: Any, since: datetime) -> When:
    """Return the trigger of a request or a schedule; intervals count from ``since``."""
    if told.cron is not None:
        return Cron(told.cron)
    return Every(told.every_s, since) if told.every_s is not None else Once(told.at)
