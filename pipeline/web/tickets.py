"""Tickets: what a backend hands to a browser, so that this may look on without the API token."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core import tickets
from pipeline.core.tickets import MOST_LIFE_S
from pipeline.errors import NotFound
from pipeline.kinds.service.spec import UserId
from pipeline.web import job_rows
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Caller
from pipeline.web.problems import responses

router = APIRouter(prefix="/tickets", tags=["jobs"], route_class=LimitedRoute)


class TicketRequest(BaseModel):
    """What the ticket is to be for; without a user and a job, for all of the owner's jobs."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"user_id": "user_123", "life_s": 3600}}
    )

    user_id: Annotated[UserId, Field(min_length=1)] | None = Field(
        None, description="Only jobs that were submitted for this user (`user_id`)."
    )
    job_id: uuid.UUID | None = Field(None, description="Only this job.")
    life_s: float = Field(3600, gt=0, le=MOST_LIFE_S, description="Seconds that it is taken.")


class Ticket(BaseModel):
    """A ticket; it cannot be taken back before its end."""

    ticket: str = Field(description="For `?ticket=`, or Socket.IO's `auth`.")
    expires_at: datetime


@router.post("", status_code=201, responses=responses(401, 404))
def create_ticket(caller: Caller, wanted: TicketRequest) -> Ticket:
    """Return a ticket with which a browser may follow jobs of the token's owner, and nothing else:
    `GET /api/v1/jobs/{job_id}/events?ticket=…`, or Socket.IO with `auth: {ticket}`."""
    if wanted.job_id is not None and job_rows.owner(wanted.job_id) != caller.owner:
        raise NotFound(f"There is no job {wanted.job_id}.")
    ticket, text = tickets.issue(
        caller.owner, wanted.life_s, user_id=wanted.user_id, job_id=wanted.job_id
    )
    return Ticket(ticket=text, expires_at=datetime.fromtimestamp(ticket.expires_at, UTC))
