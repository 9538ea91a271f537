"""What is asked of templates, checked before anything is stored."""

import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.repeating import MOST_LABELS, KindName, Label, Name
from pipeline.core.templates.variables import MOST_VARIABLES, Variable, VariableName
from pipeline.settings import MOST_S


class TemplateBody(BaseModel):
    """A version of a template without its name."""

    model_config = ConfigDict(extra="forbid")

    kind: KindName | None = Field(
        None, description="container, …: `GET /api/v1/kinds`; null: that of `from_job`."
    )
    parameters: dict[str, Any] | None = Field(
        None,
        description='The kind\'s own; `{"$var": "NAME"}` stands for a value, `${NAME}` in a text'
        " for its text (`$${` is `${`). Null: those of `from_job`.",
    )
    variables: dict[VariableName, Variable] = Field(
        default_factory=dict, max_length=MOST_VARIABLES, description="What may be put in."
    )
    from_job: uuid.UUID | None = Field(
        None, description="A job whose stored source is used again each time (sql_lint needs one)."
    )
    priority: int = Field(5, ge=0, le=9, description="Of its jobs; 9 is the most urgent.")
    labels: dict[Label, Label] = Field(
        default_factory=dict,
        max_length=MOST_LABELS - 1,
        description="Of its jobs, besides `template`, which is NAME@VERSION.",
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="A job that has not ended by then is timed out."
    )
    description: str = Field(
        "", max_length=10_000, pattern=r"^[^\x00]*$", description="What it is for."
    )


class TemplateRequest(TemplateBody):
    """A version of a template that is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "crawl-shop",
                "kind": "container",
                "parameters": {
                    "task_name": "crawl ${shop}",
                    "task_type": "custom",
                    "docker_image": "data-collection-crawler:latest",
                    "env": {"PAGES": "${pages}"},
                },
                "variables": {
                    "shop": {"type": "string", "max_length": 100},
                    "pages": {"type": "integer", "default": 10, "min": 1, "max": 1000},
                },
                "description": "One shop's catalogue.",
            }
        },
    )

    name: Name = Field(description="What it is called; the same name again is a new version.")


class TemplateJob(BaseModel):
    """A job that is wanted of a template; what is null is the template's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"variables": {"shop": "north"}, "labels": {"team": "web"}}},
    )

    variables: dict[str, Any] = Field(
        default_factory=dict, max_length=MOST_VARIABLES, description="The values."
    )
    priority: int | None = Field(None, ge=0, le=9, description="9 is the most urgent.")
    labels: dict[Label, Label] = Field(
        default_factory=dict,
        max_length=MOST_LABELS - 1,
        description="Besides the template's; of the same key they win.",
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="What has not ended by then is timed out."
    )
