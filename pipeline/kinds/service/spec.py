"""The parameters of a service job: its steps, each one call of a service."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00\n]+$")]


class ServiceParameters(BaseModel):
    """What a submitter may ask of a service job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Name = Field(description="The mode of the service: chat, document, ….")
    service: Name = Field(description="Its name.")
    task: Name = Field(description="The method, or what `execute_task` is told.")
    input: dict[str, Any] = Field(default_factory=dict, description="What it is given.")
    context: dict[str, Any] = Field(default_factory=dict, description="Its surroundings.")
