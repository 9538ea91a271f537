"""Bodies of requests that are no uploads: JSON, strict, and limited while it streams in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from json import JSONDecodeError
from typing import Any

import orjson
from anyio import to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pipeline.settings import GIB, Settings
from pipeline.web import problems
from pipeline.web.pace import Pace
from pipeline.web.problems import unauthenticated

#: Deeper documents are no data that anybody wants to keep.
MOST_DEPTH = 100
#: A document that is read at once; the event loop does not wait for longer ones.
SMALL_BYTES = 64 * 1024


class LimitedRequest(Request):
    """A request whose body comes to an end: in bytes and in time."""

    most_bytes = GIB

    async def stream(self) -> AsyncIterator[bytes]:  # type: ignore[override]
        """Yield the body; 413 past the limit, 408 when nothing comes or too little."""
        settings: Settings = self.app.state.service.context.settings
        limit_bytes, setting = settings.api_max_body_bytes, "QUAYLINE_API_MAX_BODY_BYTES"
        if self.most_bytes < limit_bytes:
            limit_bytes, setting = self.most_bytes, "of this address"
        check_length(self, limit_bytes, setting)
        size = 0
        pace = Pace(settings.api_patience_s)
        pieces = super().stream()
        async for piece in patiently(pieces, settings.api_patience_s):
            size += len(piece)
            if size > limit_bytes:
                raise too_large(limit_bytes, setting)
            if piece:
                pace.check(size)
            yield piece

    async def json(self) -> Any:
        """Return the body's document; what JSON does not know (NaN, 1e999) is no document.

        The framework takes one error for a mistake of the caller's here.
        """
        try:
            body = await self.body()
            if len(body) <= SMALL_BYTES:
                return document(body)
            return await to_thread.run_sync(document, body)
        except RequestValidationError as error:
            raise JSONDecodeError(error.errors()[0]["msg"], "", 0) from error


class LimitedRoute(APIRoute):
    """A route that needs a token, whose body is read by ``LimitedRequest``: not without one."""

    most_bytes = GIB

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            if "token" not in request.path_params and "authorization" not in request.headers:
                raise unauthenticated(problems.EXAMPLES[401])
            read = LimitedRequest(request.scope, request.receive)
            read.most_bytes = self.most_bytes
            return await handle(read)

        return limited


class SmallRoute(LimitedRoute):
    """Such a route of which a body is small, whatever others may be."""

    most_bytes = SMALL_BYTES


async def patiently(pieces: AsyncIterator[bytes], patience_s: float) -> AsyncIterator[bytes]:
    """Yield the pieces; 408 when one does not come in time."""
    while True:
        try:
            async with asyncio.timeout(patience_s):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, f"Nothing came for {patience_s:g} s.") from None
        yield piece


def check_length(request: Request, limit_bytes: int, setting: str) -> None:
    """Raise 413 where the request itself says that it is too large."""
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and int(told[:20]) > limit_bytes:
        raise too_large(limit_bytes, setting)


def too_large(limit_bytes: int, setting: str) -> HTTPException:
    """Return the error of a body past its limit."""
    return HTTPException(
        413, f"The body is larger than the limit of {limit_bytes} bytes ({setting})."
    )


def document(body: bytes, *place: str) -> Any:
    """Return the JSON document; 422, told of this place, when it is none or cannot be kept."""
    try:
        told = orjson.loads(body)
        why = unkept(told)
    except orjson.JSONDecodeError as error:
        why = f"No JSON: {error.msg}"
    if why:
        raise mistake(why, *(place or ("body",)))
    return told


def mistake(why: str, *place: str) -> RequestValidationError:
    """Return the error of one mistake at that place of the request."""
    return RequestValidationError([{"type": "value_error", "loc": place, "msg": why}])


def unkept(told: Any) -> str:
    """Return why a document cannot be kept, ``""`` when it can: NUL in a text, too deep."""
    level: list[Any] = [[told]]
    for _ in range(MOST_DEPTH):
        level = [each for part in level for each in _parts(part)]
        if any(isinstance(each, str) and "\0" in each for each in level):
            return "A text holds the character NUL."
        if not level:
            return ""
    return f"The document is more than {MOST_DEPTH} levels deep."


def _parts(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return [*part.keys(), *part.values()]
    return part if isinstance(part, list) else []
