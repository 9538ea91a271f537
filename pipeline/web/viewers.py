"""Who looks on: an API token, or a ticket that its holder was given for a while."""

import uuid
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Query, Request

from pipeline.core import tickets
from pipeline.core.api_tokens import Role
from pipeline.core.live.scouting import Known
from pipeline.core.live.scouting import known as known_jobs
from pipeline.core.tickets import MOST_TEXT, Ticket
from pipeline.errors import NotFound
from pipeline.web.callers import Credentials, known, secret_of
from pipeline.web.entries import CALLER
from pipeline.web.problems import HttpProblem, unauthenticated
from pipeline.web.service import Service, Serving


@dataclass(frozen=True, slots=True)
class Viewer:
    """Which jobs somebody may look at, and what proves that, to be asked again.

    Without an owner it is the user of this machine, who has a ``user_id``.
    """

    owner: str | None
    user_id: str | None = None
    job_id: uuid.UUID | None = None
    sees_all: bool = False
    secret: str = ""
    ticket: Ticket | None = None

    def sees(self, job: Known) -> bool:
        """Tell whether the job may be looked at."""
        return self.sees_all or (
            self.owner in (None, job.owner)
            and self.user_id in (None, job.user_id)
            and self.job_id in (None, job.id)
        )


async def of_secret(service: Service, secret: str) -> Viewer:
    """Return who has the token, or the ticket; 401 when it is neither."""
    if secret.startswith(tickets.PREFIX):
        ticket = await to_thread.run_sync(tickets.read, secret, limiter=service.lookups)
        if ticket is None:
            raise unauthenticated("The ticket is not known or has expired.")
        return Viewer(ticket.owner, ticket.user_id, ticket.job_id, secret=secret, ticket=ticket)
    token = await known(service, secret)
    return Viewer(token.owner, sees_all=token.role.may(Role.OPERATOR), secret=secret)


async def still_sees(service: Service, viewer: Viewer) -> bool:
    """Tell whether what proved it is still taken."""
    if viewer.ticket is not None:
        return not viewer.ticket.is_over
    if not viewer.secret:
        return True
    try:
        await known(service, viewer.secret)
    except HttpProblem:
        return False
    return True


async def viewer(
    request: Request,
    service: Serving,
    told: Credentials,
    ticket: Annotated[
        str | None,
        Query(max_length=MOST_TEXT, description="In place of a token: `POST /api/v1/tickets`."),
    ] = None,
) -> Viewer:
    """Return who looks on; 401 without a token or a ticket."""
    found = await of_secret(service, ticket if ticket is not None else secret_of(told))
    request.scope[CALLER] = found.owner
    return found


Viewing = Annotated[Viewer, Depends(viewer)]


def check(viewer: Viewer, job_id: uuid.UUID) -> None:
    """Raise ``NotFound`` for a job that the viewer may not look at, as for one that is gone."""
    if not any(viewer.sees(job) for job in known_jobs([job_id])):
        raise NotFound(f"There is no job {job_id}.")
