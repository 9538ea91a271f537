"""What the routes of one application share."""

import asyncio
from typing import Annotated, Any

import anyio
from fastapi import Depends, Request

from pipeline import metrics
from pipeline.core.context import Context
from pipeline.web.access import AccessLog
from pipeline.web.beats import Beats
from pipeline.web.figures import Figures
from pipeline.web.known_tokens import KnownTokens
from pipeline.web.live import Live
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
        self.live = Live(context.settings)
        #: What each stream that is open waits for.
        self.streams: set[asyncio.Queue[Any]] = set()
        # An upload takes as long as its sender does.
        uploads = context.settings.api_uploads
        self.uploads = Room("uploads", uploads, of_one_owner=max(1, uploads // 2))
        # A log takes as long as its Docker host does.
        self.readings = Room("logs, outputs and reports", MOST_READINGS)
        # Who calls is known however busy the other threads are.
        self.lookups = anyio.CapacityLimiter(2)

    def close_streams(self) -> None:
        """Let those who follow jobs go: the server ends, and they come back to another one."""
        for waiting in [*self.streams]:
            waiting.put_nowait(None)
        self.live.close()


async def service_of(request: Request) -> Service:
    """Return the service of the application that the request came to."""
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(service_of)]
