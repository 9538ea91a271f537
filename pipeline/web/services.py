"""Services: what is offered, a call of one by its address, and how a call stands."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.kinds import get_kind
from pipeline.errors import NotFound
from pipeline.kinds.service import choosing, offers, standing
from pipeline.kinds.service.spec import MOST_INPUTS, ServiceParameters, UserId
from pipeline.kinds.service.standing import Standing, Status
from pipeline.settings import MOST_S
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Caller, sees
from pipeline.web.job_bodies import MOST_LABELS, Label
from pipeline.web.problems import responses
from pipeline.web.service import Serving
from pipeline.web.submissions import LOCATION, IdempotencyKey
from pipeline.web.submitting import checked

router = APIRouter(prefix="/services", tags=["services"], route_class=LimitedRoute)

#: Names in addresses; others are called by `POST /api/v1/jobs`.
NAME = r"^[^\x00-\x1f/\x7f]+$"
Mode = Annotated[str, Path(max_length=200, pattern=NAME, description="chat, document, ….")]
ServiceName = Annotated[str, Path(max_length=200, pattern=NAME, description="The service.")]
Task = Annotated[
    str, Path(max_length=200, pattern=NAME, description="Its method, or what it is told.")
]
TaskId = Annotated[
    uuid.UUID, Path(description="`task_id` of the submission, or the id of one of a job's tasks.")
]
Document = dict[str, JsonValue]


class OfferedService(BaseModel):
    """A service that workers have offered."""

    mode: str
    name: str
    heavy: bool = Field(description="True: it runs on `heavy_tasks`, in a process of its own.")
    description: str
    tasks: list[str] = Field(description="The tasks that it knows by name.")
    takes_any: bool = Field(description="True: it takes tasks of other names, too.")
    limits: dict[str, Any]
    input_schema: dict[str, Any] | None = Field(description="JSON Schema; null: any object.")
    output_schema: dict[str, Any] | None = Field(description="JSON Schema; null: any JSON.")
    seen_at: datetime = Field(description="When a worker last offered it.")


class CallRequest(BaseModel):
    """What a service is called with."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "input": {"text": "The service was quick and friendly."},
                "context": {"language": "en"},
                "user_id": "user_123",
                "step": 1,
            }
        },
    )

    input: Document | None = Field(None, description="What it is given.")
    inputs: list[Document] | None = Field(
        None, min_length=1, max_length=MOST_INPUTS, description="In its place: a call for each."
    )
    context: Document = Field(default_factory=dict, description="Its surroundings.")
    user_id: UserId | None = Field(None, description="For whom; null: the token's owner.")
    step: int = Field(1, ge=0, le=1_000_000, description="The number that it is told under.")
    heavy: bool | None = Field(
        None, description="True: on `heavy_tasks`; null: as the service says."
    )
    priority: int = Field(5, ge=0, le=9, description="9 is the most urgent.")
    labels: dict[Label, Label] = Field(
        default_factory=dict, max_length=MOST_LABELS, description="Words to find its job by."
    )
    deadline_s: float | None = Field(
        None, gt=0, le=MOST_S, description="What has not ended by then is timed out."
    )


class Call(BaseModel):
    """How a call stands."""

    task_id: uuid.UUID
    job_id: uuid.UUID
    status: Status
    mode: str
    service: str
    task: str
    step: int
    attempt: int = Field(description="How often it was begun.")
    result: Any = Field(
        None, description="What it returned; there when it is completed. Of several calls: all."
    )
    error: str | None = Field(None, description="Why not, in words; there when it has failed.")
    reason: str | None = Field(None, description="Why not, as a closed code.")
    progress: dict[str, Any] | None = Field(description="fraction (0 to 1), message, details.")
    partial: str = Field(description="What it has given so far; the last 262,144 characters.")
    partial_from: int = Field(description="So many characters went before them.")
    context: dict[str, Any] = Field(description="Its runs, models and tokens, files, durations.")
    warning: str | None = Field(
        None, description="Of a submission: that no worker has offered the service yet."
    )

    @classmethod
    def of(cls, told: Standing) -> "Call":
        """Return the standing's form on the wire: a result or an error, when there is one."""
        absent = set() if told.status.has_ended else {"result", "error", "reason"}
        absent |= {"warning"}
        absent |= {"error", "reason"} if told.status is Status.COMPLETED else set()
        if told.status is not Status.COMPLETED and told.result is None:
            absent.add("result")
        return cls(**{name: getattr(told, name) for name in {*cls.model_fields} - absent})


@router.get("", responses=responses(401))
def list_services(_: Caller) -> list[OfferedService]:
    """Return every service that workers have offered, by mode and name."""
    names = OfferedService.model_fields
    return [
        OfferedService(**{name: getattr(each, name) for name in names}) for each in offers.listed()
    ]


@router.get(
    "/tasks/{task_id}", response_model_exclude_unset=True, responses=responses(401, 404, 409)
)
def show_call(caller: Caller, task_id: TaskId) -> Call:
    """Return how the call stands: PENDING, RUNNING, COMPLETED, FAILED, TIMED_OUT, CANCELLED."""
    found = standing.standing(task_id)
    if not sees(caller, found.owner):
        raise NotFound(f"There is no task {task_id} of a service.")
    return Call.of(found)


@router.post(
    "/{mode}/{service_name}/{task}",
    status_code=202,
    response_model_exclude_unset=True,
    responses={
        **responses(401, 408, 409, 413),
        202: {"description": "The call is kept; it will be made.", "headers": LOCATION},
    },
)
def call_service(
    caller: Caller,
    service: Serving,
    response: Response,
    mode: Mode,
    service_name: ServiceName,
    task: Task,
    wanted: CallRequest,
    idempotency_key: IdempotencyKey = None,
) -> Call:
    """Submit a call, or one for each of `inputs`, as one job; `Location` tells how it stands.

    A service that no worker has offered yet is taken, too, and `warning` says so: a worker that
    knows it may come.
    """
    told = wanted.model_dump(include={"input", "inputs", "context", "step"}, exclude_unset=True)
    user_id = caller.owner if wanted.user_id is None else wanted.user_id
    called = {"mode": mode, "service": service_name, "task": task, "user_id": user_id}
    parameters = {**{name: each for name, each in told.items() if each is not None}, **called}
    read = checked(get_kind("service"), parameters)
    assert isinstance(read, ServiceParameters)
    before = jobs.under_key(caller.owner, idempotency_key)
    kind = choosing.kind_of(read, wanted.heavy, before)
    kind.admit(read, service.context.settings)
    job_id = jobs.submit(
        Submission(
            kind=kind.name,
            parameters=parameters,
            source={"name": f"{mode}/{service_name} {task}"},
            priority=wanted.priority,
            owner=caller.owner,
            labels=wanted.labels,
            idempotency_key=idempotency_key,
            deadline_s=wanted.deadline_s,
        ),
        heard=service.heard,
    )
    response.headers["Location"] = f"/api/v1/services/tasks/{job_id}"
    told_now = Call.of(standing.standing(job_id))
    warning = offers.warning(read)
    return told_now.model_copy(update={"warning": warning}) if warning else told_now
