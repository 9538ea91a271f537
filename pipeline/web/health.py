"""Whether the process lives, whether it can serve, and its figures. None of it needs a token."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from pipeline import broker
from pipeline.core import finishing, health
from pipeline.errors import QuaylineError, Refused
from pipeline.web import problems
from pipeline.web.problems import responses
from pipeline.web.service import Service, Serving

log = logging.getLogger(__name__)

router = APIRouter(tags=["health"])

#: An answer serves everybody who asks within so long: whoever asks costs little.
KNOWN_S = 1.0
#: A part that does not answer within so long does not work.
LIMIT_S = 5.0


class Alive(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Part(BaseModel):
    """One thing that is needed."""

    ok: bool
    detail: str = Field(description="Empty, or what is wrong with it.")


class Noted(BaseModel):
    """How a thing was when a worker looked last; it has no say in whether this process serves.

    What was wrong may name addresses of ours: `quayline health` tells it.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    checked_at: datetime


class Readiness(BaseModel):
    """Whether all that is needed works."""

    status: Literal["ok", "unavailable"]
    parts: dict[str, Part]
    noted: list[Noted] = Field(description="What a worker found when it looked last.")


class Readying:
    """Looks at what is needed, at most once in a moment."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = asyncio.Lock()
        self._looked_at = -KNOWN_S
        self._found: dict[str, Part] = {}
        self.noted: list[Noted] = []
        # Beside the threads of the requests, which may all be waiting for what is away.
        self._limiter = anyio.CapacityLimiter(8)

    async def parts(self) -> dict[str, Part]:
        """Return how each part is."""
        async with self._lock:
            if time.monotonic() - self._looked_at >= KNOWN_S:
                looks = {
                    "database": self._database,
                    "storage": self._service.context.blobs.check,
                    "broker": self._broker,
                }
                found = await asyncio.gather(*map(self._look, looks.values()))
                self._found = dict(zip(looks, found, strict=True))
                self._looked_at = time.monotonic()
            return self._found

    async def _look(self, look: Callable[[], None]) -> Part:
        try:
            with anyio.fail_after(LIMIT_S):
                await to_thread.run_sync(look, limiter=self._limiter, abandon_on_cancel=True)
        except QuaylineError as error:
            log.warning("A part that is needed does not work", extra={"error": error.message})
            return Part(ok=False, detail=problems.outside(error))
        except TimeoutError:
            return Part(ok=False, detail=f"No answer within {LIMIT_S:g} s.")
        return Part(ok=True, detail="")

    def _database(self) -> None:
        self.noted = [
            Noted(
                name=told.name,
                state=told.state.value,
                checked_at=told.checked_at,
            )
            for told in health.latest()
        ]

    def _broker(self) -> None:
        if not self._service.context.settings.embedded and broker.waiting(finishing.QUEUE) is None:
            # Refused: a sentence that anybody may be told.
            raise Refused("The broker does not answer; jobs are kept and start later.")


async def _readying(request: Request) -> Readying:
    readying: Readying = request.app.state.readying
    return readying


@router.get("/healthz", responses=responses())
async def healthz() -> Alive:
    """The process lives and answers."""
    return Alive()


@router.get(
    "/readyz",
    responses={
        **responses(),
        503: {"model": Readiness, "description": "Something that is needed does not work."},
    },
)
async def readyz(
    response: Response, readying: Annotated[Readying, Depends(_readying)]
) -> Readiness:
    """Whether database, storage and broker can be reached."""
    parts = await readying.parts()
    works = all(part.ok for part in parts.values())
    response.status_code = 200 if works else 503
    status: Literal["ok", "unavailable"] = "ok" if works else "unavailable"
    return Readiness(status=status, parts=parts, noted=readying.noted)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **responses(),
        200: {"description": "Figures.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(service: Serving) -> Response:
    """Return the figures of this process, as Prometheus takes them."""
    return Response(generate_latest(service.figures.registry), media_type=CONTENT_TYPE_LATEST)
