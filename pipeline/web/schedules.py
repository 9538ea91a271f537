"""What is submitted at certain times, for operators: make, look, change, run now, take away."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from pipeline.core.repeating import NAME
from pipeline.core.schedules import book, fires, rows, turn
from pipeline.core.schedules.spec import Outcome, ScheduleChange, ScheduleRequest
from pipeline.core.triggers import EPOCH, MOMENT
from pipeline.states import CatchUp, Overlap
from pipeline.web import cursors
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Operator
from pipeline.web.cursors import Cursor, Page
from pipeline.web.jobs import Limit, actor
from pipeline.web.problems import responses
from pipeline.web.service import Serving
from pipeline.web.submissions import IdempotencyKey

router = APIRouter(prefix="/schedules", tags=["operators"], route_class=LimitedRoute)

Name = Annotated[str, Path(pattern=NAME, description="The schedule's name.")]


class Schedule(BaseModel):
    """A schedule: what is submitted, when, and when next."""

    id: uuid.UUID
    name: str
    owner: str
    kind: str
    parameters: dict[str, Any] | None = Field(
        description="As told; shown to its owner alone, since they may hold secrets."
    )
    source: dict[str, Any] | None
    priority: int
    labels: dict[str, Any]
    deadline_s: float | None
    cron: str | None
    every_s: float | None
    at: datetime | None
    timezone: str
    enabled: bool
    catch_up: CatchUp
    overlap: Overlap
    created_at: datetime
    next_fire_at: datetime | None = Field(description="Null: it is off, or no time is left.")
    last_fire_at: datetime | None = Field(description="The last time that became a job.")


class Fire(BaseModel):
    """One time of a schedule, and what came of it."""

    fire_time: datetime = Field(description="The time that it was for.")
    fired_at: datetime = Field(description="When it was acted on.")
    actor: str = Field(description="`scheduler`, or who ran it by hand.")
    outcome: Outcome
    job_id: uuid.UUID | None
    message: str = Field(description="Why there is no job, in words.")


class Submitted(BaseModel):
    """The job that a schedule was run for."""

    job_id: uuid.UUID


@router.get("", responses=responses(401, 403))
def list_schedules(caller: Operator, cursor: Cursor = None, limit: Limit = 100) -> Page[Schedule]:
    """Return everybody's, by name."""
    after = "" if cursor is None else cursors.read("schedules", cursor)
    found = rows.listed(after=after, limit=limit + 1)
    items = [_told(each, caller.owner) for each in found[:limit]]
    more = cursors.written("schedules", items[-1].name) if len(found) > limit else None
    return Page[Schedule](items=items, next_cursor=more)


@router.post("", status_code=201, responses=responses(401, 403, 404, 408, 409, 413))
def create_schedule(caller: Operator, service: Serving, wanted: ScheduleRequest) -> Schedule:
    """Make one; what could not be submitted is refused now and not stored."""
    made = book.create(wanted, service.context, owner=caller.owner)
    return _told(made, caller.owner)


@router.get("/{name}", responses=responses(401, 403, 404, 409))
def show_schedule(caller: Operator, name: Name) -> Schedule:
    """Return one with its next time and its last."""
    return _told(rows.get(name), caller.owner)


@router.patch("/{name}", responses=responses(401, 403, 404, 408, 409, 413))
def change_schedule(
    caller: Operator, service: Serving, name: Name, wanted: ScheduleChange
) -> Schedule:
    """Change what is named, all or nothing; `enabled` switches it on and off."""
    return _told(book.change(name, wanted, service.context), caller.owner)


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=responses(401, 403, 404),
)
def delete_schedule(_: Operator, name: Name) -> Response:
    """Take it and its history away; its jobs stay."""
    book.delete(name)
    return Response(status_code=204)


@router.post("/{name}/run", status_code=201, responses=responses(401, 403, 404, 409))
def run_schedule(
    caller: Operator, service: Serving, name: Name, idempotency_key: IdempotencyKey = None
) -> Submitted:
    """Submit its job now, whether it is on or off; 409 where its overlap policy forbids that.

    The job is the schedule's owner's, and so is the key.
    """
    job_id = turn.run_now(
        name, service.context, actor=actor(caller), idempotency_key=idempotency_key
    )
    return Submitted(job_id=job_id)


@router.get("/{name}/fires", responses=responses(401, 403, 404, 409))
def list_fires(_: Operator, name: Name, cursor: Cursor = None, limit: Limit = 100) -> Page[Fire]:
    """Return what came of its times, the newest first."""
    before = None if cursor is None else EPOCH + cursors.number("fires", cursor) * MOMENT
    found = fires.listed(rows.get(name).id, before=before, limit=limit + 1)
    items = [
        Fire(**{each: getattr(fire, each) for each in Fire.model_fields}) for fire in found[:limit]
    ]
    more = None
    if len(found) > limit:
        more = cursors.written("fires", (items[-1].fire_time - EPOCH) // MOMENT)
    return Page[Fire](items=items, next_cursor=more)


def _told(schedule: rows.Schedule, reader: str) -> Schedule:
    told = {name: getattr(schedule, name) for name in Schedule.model_fields}
    if schedule.owner != reader:
        told["parameters"] = None
    return Schedule(**told)
