"""The hosts that containers run on, for operators."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core import executions, hosts
from pipeline.kinds.container.spec import Label
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Operator
from pipeline.web.problems import responses
from pipeline.web.service import Serving

router = APIRouter(prefix="/hosts", tags=["operators"], route_class=LimitedRoute)

Name = Annotated[str, Path(max_length=63, pattern=r"^[^\x00/]+$", description="The host's name.")]


class NewHost(BaseModel):
    """A host to run containers on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "big", "url": "tcp://10.0.0.7:2376", "slots": 40, "labels": {}}
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9._\-]+$")]
    url: Annotated[str, Field(max_length=500, pattern=r"^(unix|tcp|ssh)://[^\x00\s]+$")]
    slots: int = Field(8, ge=0, le=1000, description="Containers at the same time.")
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=20)


class Host(BaseModel):
    """A host: where it is, how full, and whether it answers."""

    name: str
    url: str
    slots: int
    taken: int = Field(description="Slots with a container in them.")
    labels: dict[str, Any]
    draining: bool
    checked_at: datetime | None
    away_since: datetime | None
    error: str | None


class Draining(BaseModel):
    """Whether a host is given no more containers."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"on": True}})

    on: bool = True


@router.get("", responses=responses(401, 403))
def list_hosts(_: Operator, service: Serving) -> list[Host]:
    """Return all of them, by name."""
    load = executions.load()
    return [_told(host, load) for host in hosts.known(service.context.settings)]


@router.post("", status_code=201, responses=responses(401, 403, 408, 409, 413))
def add_host(_: Operator, service: Serving, told: NewHost) -> Host:
    """Let containers run on one more host."""
    hosts.known(service.context.settings)
    hosts.add(told.name, told.url, slots=told.slots, labels=told.labels)
    return _told(hosts.get(told.name, service.context.settings), {})


@router.post("/{name}/drain", responses=responses(401, 403, 404, 408, 413))
def drain_host(_: Operator, service: Serving, name: Name, told: Draining) -> Host:
    """Give it no more containers, or give it some again; what runs there goes on."""
    hosts.drain(name, on=told.on)
    return _told(hosts.get(name, service.context.settings), executions.load())


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=responses(401, 403, 404, 409),
)
def remove_host(_: Operator, name: Name) -> Response:
    """Forget a host on which nothing runs."""
    hosts.remove(name)
    return Response(status_code=204)


def _told(host: hosts.Host, load: dict[str, int]) -> Host:
    return Host(
        name=host.name,
        url=host.url,
        slots=host.slots,
        taken=load.get(host.name, 0),
        labels=host.labels,
        draining=host.is_draining,
        checked_at=host.checked_at,
        away_since=host.away_since,
        error=host.error,
    )
