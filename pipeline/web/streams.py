"""Server-Sent Events: a job's messages as one long answer, that goes on where it broke off."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence

from anyio import to_thread
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from pipeline import jsontext
from pipeline.core.live import Follow, Message, look
from pipeline.core.live.cursor import Cursor
from pipeline.web.guard import LEAVE
from pipeline.web.problems import too_busy
from pipeline.web.service import Service
from pipeline.web.viewers import Viewer, still_sees

MEDIA_TYPE = "text/event-stream"
#: Between two signs of life, in seconds; at each the token is looked at again.
ALIVE_S = 15.0
#: A client that is behind by so many looks is let go; it comes back and has missed nothing.
MOST_BEHIND = 100
#: How soon a client comes back whose stream broke off, in milliseconds.
RETRY_MS = 1000

#: What a client is still to be told; None: that is all.
Waiting = asyncio.Queue[Sequence[Message] | None]

_HEADERS = {
    "Cache-Control": "no-store",
    # A proxy that collects answers first would tell all of it at the end.
    "X-Accel-Buffering": "no",
}


def is_wanted(request: Request) -> bool:
    """Tell whether the request asks for a stream rather than for a page."""
    return MEDIA_TYPE in request.headers.get("Accept", "")


async def answer(
    request: Request, service: Service, viewer: Viewer, job_id: uuid.UUID, told: str
) -> Response:
    """Return the stream of the job, after the id that was ``told`` last; 204, which tells a browser
    not to come back, where all of it was told."""
    follow = Follow(job_id, Cursor.read(told) if told else None)
    if told and await _is_over(job_id, told):
        return Response(status_code=204)
    if len(service.streams) >= service.context.settings.api_streams:
        raise too_busy("Too many clients follow jobs; come again in a moment.")
    request.scope[LEAVE]()
    return StreamingResponse(
        _lines(service, viewer, follow), media_type=MEDIA_TYPE, headers=_HEADERS
    )


async def _is_over(job_id: uuid.UUID, told: str) -> bool:
    """Tell whether the job has ended and nothing has happened after that id."""
    follow = Follow(job_id, Cursor.read(told))
    [news] = await to_thread.run_sync(look, [follow.ask()])
    messages = follow.take(news)
    return follow.has_ended and not any(each.event == "transition" for each in messages)


async def _lines(service: Service, viewer: Viewer, follow: Follow) -> AsyncIterator[bytes]:
    waiting: Waiting = asyncio.Queue()

    def sink(messages: Sequence[Message]) -> None:
        waiting.put_nowait(messages)
        if waiting.qsize() >= MOST_BEHIND:
            # What is on its way to it is the last; the rest it asks for when it comes back. Its
            # connection ends when it takes that, or when the server has had enough of waiting.
            leave()
            while not waiting.empty():
                waiting.get_nowait()
            waiting.put_nowait(None)

    def leave() -> None:
        service.live.leave(watch)
        service.streams.discard(waiting)
        service.figures.streams.labels("events").set(len(service.streams))

    watch = service.live.watch(follow, sink)
    service.streams.add(waiting)
    service.figures.streams.labels("events").set(len(service.streams))
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        async for messages in _heard(service, viewer, waiting):
            yield b"".join(line(each) for each in messages) or b": alive\n\n"
    finally:
        leave()


async def _heard(
    service: Service, viewer: Viewer, waiting: Waiting
) -> AsyncIterator[Sequence[Message]]:
    """Yield what comes, and nothing as a sign of life, to the end of the job, of the server, or of
    what lets the client look on."""
    check_at = time.monotonic() + ALIVE_S
    while True:
        messages: Sequence[Message] | None = ()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, check_at - time.monotonic())):
                messages = await waiting.get()
        if messages is None:
            return
        if time.monotonic() >= check_at:
            check_at = time.monotonic() + ALIVE_S
            if not await still_sees(service, viewer):
                return
        yield messages
        if messages and messages[-1].event == "end":
            return


def line(message: Message) -> bytes:
    """Return the message as an event of a stream."""
    parts = [b"event: %s" % message.event.encode()]
    if message.id is not None:
        parts.append(b"id: %s" % message.id.encode())
    return b"\n".join([*parts, b"data: %s" % jsontext.encoded(message.data), b"", b""])
