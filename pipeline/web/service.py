"""What the routes of one application share."""

from typing import Annotated

import anyio
from fastapi import Depends, Request

from pipeline import metrics
from pipeline.core.context import Context
from pipeline.web.access import AccessLog
from pipeline.web.beats import Beats
from pipeline.web.figures import Figures
from pipeline.web.known_tokens import KnownTokens
from pipeline.web.rooms import Room

MOST_READINGS = 8


class Service:
    """The open context, and what this application knows and counts.

    ``heard``: messages that are sent here are taken by somebody (a broker, or this process's own
    worker threads); else rows alone tell what is due.
    """

    def __init__(self, context: Context, *, heard: bool) -> None:
        self.context = context
        self.heard = heard
        self.figures = Figures()
        metrics.POOL_SIZE.set(context.settings.database_pool)
        self.beats = Beats(self.figures)
        self.access = AccessLog(context.settings, self.figures)
        self.tokens = KnownTokens()
        # An upload takes as long as its sender does.
        uploads = context.settings.api_uploads
        self.uploads = Room("uploads", uploads, of_one_owner=max(1, uploads // 2))
        # A log takes as long as its Docker host does.
        self.readings = Room("logs, outputs and reports", MOST_READINGS)
        # Who calls is known however busy the other threads are.
        self.lookups = anyio.CapacityLimiter(2)


async def service_of(request: Request) -> Service:
    """Return the service of the application that the request came to."""
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(service_of)]
