"""Around every request: its id, a bound on how many are in work, a log line, a last resort."""

import logging
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import logs
from pipeline.clock import new_id
from pipeline.web import addresses, problems
from pipeline.web.access import HEARTBEATS, PROBES
from pipeline.web.service import Service

log = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
#: Where in a scope stands what a stream calls when it begins: it is not counted as in work.
LEAVE = "quayline.leave"
_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
#: Who asks whether the process lives is answered however much it has to do.
ALWAYS = frozenset({"/healthz"})

#: Nothing of ours is to be shown in a frame, guessed at, or kept by a proxy.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """The outermost of the application: every answer has its id, its headers and its line."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = told if _ID.fullmatch(told) else str(new_id())
        scope["quayline.request_id"] = request_id
        began = time.perf_counter()
        answering = _Answering(send, request_id)
        with logs.bind(request_id=request_id):
            try:
                await self._app(scope, receive, answering)
            finally:
                self._tell(scope, answering, time.perf_counter() - began)

    def _tell(self, scope: Scope, answering: "_Answering", seconds: float) -> None:
        route, status = addresses.declared(scope), answering.status
        self._service.figures.answered(scope["method"], route, status, seconds)
        self._service.access.note(scope, route, status, seconds, answering.location)
        log.log(
            logging.DEBUG if route in CHATTER else logging.INFO,
            "A request was answered",
            extra={
                "method": scope["method"],
                "path": addresses.shown(scope["path"]),
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
                "client": (scope.get("client") or ("",))[0],
            },
        )


#: Said thousands of times an hour; the figures count them.
CHATTER = PROBES | HEARTBEATS


class Bound:
    """Around the routes: they are not too many, and whatever happens the client is answered."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._figures = service.figures
        self._limit = service.context.settings.api_concurrency
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or tell its client to come again."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = _Answering(send, scope["quayline.request_id"])
        is_in_work = True

        def leave() -> None:
            nonlocal is_in_work
            self._move(-int(is_in_work))
            is_in_work = False

        scope[LEAVE] = leave
        self._move(1)
        try:
            if self._in_work > self._limit and scope["path"] not in ALWAYS:
                await self._refuse(scope, receive, answering)
            else:
                await self._guarded(scope, receive, answering)
        finally:
            leave()

    def _move(self, by: int) -> None:
        self._in_work += by
        self._figures.in_work.set(self._in_work)

    async def _guarded(self, scope: Scope, receive: Receive, answering: "_Answering") -> None:
        try:
            await self._app(scope, receive, answering)
        except Exception:  # the last resort: the client is answered, the log knows
            log.exception("A request failed")
            if answering.status:
                # Its head is out; only an end in the middle still says that something is wrong.
                raise
            detail = problems.EXAMPLES[500]
            response = problems.answer(500, detail, "error", request_id=answering.request_id)
            await response(scope, receive, answering)

    async def _refuse(self, scope: Scope, receive: Receive, answering: "_Answering") -> None:
        busy = problems.too_busy("Too many requests are in work; send it again in a moment.")
        response = problems.answer(
            *(busy.status, busy.detail, busy.reason),
            request_id=answering.request_id,
            headers=busy.headers,
        )
        await response(scope, receive, answering)


class _Answering:
    """Sends the answer with the headers that every answer has; knows its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0
        self.location = ""

    async def __call__(self, message: Message) -> None:
        """Send the message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            headers[REQUEST_ID] = self.request_id
            if 200 <= self.status < 300:
                self.location = headers.get("Location", "")
        await self._send(message)
