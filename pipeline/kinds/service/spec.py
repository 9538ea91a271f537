"""The parameters of a service job: one call, the same call over many inputs, or steps with needs.

A step's input may take from the result of a step that it needs: ``{"$from": "outline", "path":
"sections.0"}`` stands for that part of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from pipeline import jsontext
from pipeline.core import documents
from pipeline.errors import Refused
from pipeline.kinds.service import passing
from pipeline.settings import Settings
from pipeline.store.models import JobRow

#: The two kinds.
LIGHT, HEAVY = "service", "heavy_service"
KIND_NAMES = (LIGHT, HEAVY)

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00\n]+$")]
UserId = Annotated[str, Field(max_length=200, pattern=r"^[^\x00\n]*$")]
Document = dict[str, JsonValue]

#: More than these are several jobs: each batch of a job reads its row, with all that was asked.
MOST_STEPS = 1000
MOST_INPUTS = 10_000


class Step(BaseModel):
    """One call among several; it begins when the steps that it needs have ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="What other steps call it.")
    mode: Name = Field(description="The mode of the service: chat, document, ….")
    service: Name = Field(description="Its name.")
    task: Name = Field(description="The method, or what `execute_task` is told.")
    input: Document = Field(default_factory=dict, description="What it is given.")
    context: Document = Field(default_factory=dict, description="Its surroundings.")
    needs: list[Name] = Field(
        default_factory=list, max_length=MOST_STEPS, description="Steps that go before it."
    )
    trigger: Literal["all_succeeded", "all_done"] = Field(
        "all_succeeded", description="When it begins: they succeeded, or ended in any way."
    )


class ServiceParameters(BaseModel):
    """What a submitter may ask of a service job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Name | None = Field(None, description="The mode of the service: chat, document, ….")
    service: Name | None = Field(None, description="Its name.")
    task: Name | None = Field(None, description="The method, or what `execute_task` is told.")
    input: Document | None = Field(None, description="What it is given.")
    inputs: list[Document] | None = Field(
        None, min_length=1, max_length=MOST_INPUTS, description="One call for each of these."
    )
    context: Document = Field(default_factory=dict, description="Its surroundings.")
    steps: list[Step] | None = Field(
        None, min_length=1, max_length=MOST_STEPS, description="Several calls in place of one."
    )
    on_failure: Literal["continue", "stop"] = Field(
        "continue", description="`stop`: when a call has failed, none begins any more."
    )
    user_id: UserId = Field("", description="For whom it is; told to the service.")
    step: int = Field(1, ge=0, le=1_000_000, description="The number that it is told under.")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        called = (self.mode, self.service, self.task)
        if self.steps is None:
            if None in called:
                raise ValueError("give mode, service and task, or steps")
            if self.input is not None and self.inputs is not None:
                raise ValueError("give input or inputs, not both")
        elif any(each is not None for each in (*called, self.input, self.inputs)):
            raise ValueError("beside steps there is no mode, service, task, input or inputs")
        else:
            _check_steps(self.steps)
        return self


class Call(BaseModel):
    """One call as a task's row keeps it. ``needs``: places of the steps that it needs, by name."""

    model_config = ConfigDict(frozen=True)

    name: str
    mode: str
    service: str
    task: str
    input: dict[str, Any]
    context: dict[str, Any]
    user_id: str
    step: int
    needs: dict[str, int] = {}
    trigger: str = "all_succeeded"


def calls(parameters: ServiceParameters) -> Iterator[Call]:
    """Yield the calls that the parameters ask for, in the order of their places."""
    if parameters.steps is not None:
        places = {step.name: place for place, step in enumerate(parameters.steps)}
        for place, step in enumerate(parameters.steps):
            told = step.model_dump(exclude={"needs"})
            needs = {name: places[name] for name in step.needs}
            yield Call(**told, user_id=parameters.user_id, step=place + 1, needs=needs)
        return
    told = parameters.model_dump(include={"mode", "service", "task", "user_id", "step", "context"})
    if parameters.inputs is None:
        yield Call(**told, name=told["task"], input=parameters.input or {})
        return
    for number, given in enumerate(parameters.inputs, 1):
        yield Call(**told, name=f"{told['task']} {number}", input=given)


def has_several(parameters: Mapping[str, Any]) -> bool:
    """Tell whether a job's parameters ask for several calls, be it one in a list."""
    return parameters.get("steps") is not None or parameters.get("inputs") is not None


def parameters_of(job: JobRow) -> ServiceParameters:
    """Return the job's parameters; raise ``Permanent`` when its row does not hold them."""
    return documents.read(ServiceParameters, job.parameters, "parameters")


def admit(parameters: ServiceParameters, settings: Settings) -> None:
    """Raise ``Refused`` for an input that is larger than this deployment takes."""
    for call in calls(parameters):
        for what, given in (("input", call.input), ("context", call.context)):
            size_bytes = len(jsontext.encoded(given))
            if size_bytes > settings.service_input_bytes:
                raise Refused(
                    f"The {what} of {call.name!r} takes {size_bytes} bytes; the most is"
                    f" {settings.service_input_bytes} (QUAYLINE_SERVICE_INPUT_BYTES)."
                )


def _check_steps(steps: list[Step]) -> None:
    names = Counter(step.name for step in steps)
    for name, number in names.items():
        if number > 1:
            raise ValueError(f"two steps are named {name!r}")
    for step in steps:
        for need in step.needs:
            if need not in names:
                raise ValueError(f"the step {step.name!r} needs {need!r}, which is no step")
        for source in passing.sources(step.input):
            if source not in step.needs:
                raise ValueError(
                    f"the step {step.name!r} takes from {source!r}; name it in its needs"
                )
    try:
        TopologicalSorter({step.name: step.needs for step in steps}).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ValueError(f"the steps need one another in a circle: {circle}") from None
