"""Socket.IO: ``progress`` and ``job`` messages, pushed to rooms per owner, per user and per job.

Who connects is in the room of what its token or ticket lets it see, and is told at once how the
jobs stand that go on there; with ``subscribe`` it enters the room of one more job.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import socketio
from anyio import to_thread
from peewee import PeeweeException
from socketio.exceptions import ConnectionRefusedError as Refusal
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline import jsontext
from pipeline.core.live import Message
from pipeline.core.live.scouting import Known, going_on, known
from pipeline.errors import QuaylineError
from pipeline.web import viewers
from pipeline.web.arrivals import Arrival, arrival
from pipeline.web.followed import Followed
from pipeline.web.problems import HttpProblem
from pipeline.web.service import Service
from pipeline.web.viewers import Viewer

log = logging.getLogger(__name__)

PATH = "/socket.io/"
#: Who does not say until when it was told hears of jobs that ended so long ago: it may come back.
BACK_S = 30.0
#: Between two looks at whether tokens are still taken, in seconds.
CHECK_S = 15.0
#: Packets that a client is behind by, before it is let go.
MOST_BEHIND = 5000
#: A client that says more in a message than this is none of ours.
MOST_SAID_BYTES = 64 * 1024

_WHICH = 'Say which job: {"job_id": "…"}.'


class _Json:
    """How Socket.IO writes and reads documents."""

    @staticmethod
    def dumps(document: Any, **_: Any) -> str:
        """Return the document as JSON."""
        return jsontext.encoded(document).decode()

    loads = staticmethod(orjson.loads)


class Push:
    """The clients of one application; all but ``scout`` belongs to its event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            json=_Json,
            # None: pages of this server alone.
            cors_allowed_origins=service.context.settings.cors_origins or None,
            max_http_buffer_size=MOST_SAID_BYTES,
        )
        for name in ("connect", "disconnect", "subscribe", "unsubscribe"):
            self._server.on(name, getattr(self, f"_{name}"))
        self.app: ASGIApp = socketio.ASGIApp(self._server)
        self._viewers: dict[str, Viewer] = {}
        self._outbox: asyncio.Queue[tuple[Sequence[str], Sequence[Message]]] = asyncio.Queue()
        self._followed = Followed(
            service.live,
            lambda rooms, messages: self._outbox.put_nowait((rooms, messages)),
            rooms=_rooms_of,
            hears=lambda rooms: any(True for _ in self._clients_in(rooms)),
            owners=self._owners,
        )

    async def run(self) -> None:
        """Send what there is to send, as long as the application lives."""
        while True:
            rooms, messages = await self._outbox.get()
            try:
                await self._send(rooms, messages)
            except Exception:
                # One that cannot be sent costs itself: all others wait behind this loop.
                log.exception("What goes on could not be pushed")

    async def _send(self, rooms: Sequence[str], messages: Sequence[Message]) -> None:
        for each in messages:
            if each.event != "transition":
                await self._server.emit(each.event, each.data, to=[*rooms])
        for sid, behind in self._clients_in(rooms):
            if behind > MOST_BEHIND:
                log.warning("A client that takes too little is let go", extra={"sid": sid})
                await self._server.disconnect(sid)

    async def check(self) -> None:
        """Let go, again and again, those whose token or ticket is taken no more."""
        while True:
            await asyncio.sleep(CHECK_S)
            for sid, viewer in [*self._viewers.items()]:
                try:
                    if not await viewers.still_sees(self._service, viewer):
                        await self._server.disconnect(sid)
                except (QuaylineError, PeeweeException) as error:
                    log.warning("Tokens cannot be looked at", extra={"error": str(error)})

    async def close(self) -> None:
        """Let everybody go; they come back to another server."""
        for sid in [*self._viewers]:
            await self._server.disconnect(sid)
        await self._server.shutdown()

    def is_needed(self) -> bool:
        """Tell whether somebody here may be told of jobs."""
        return bool(self._viewers)

    def scout(self, changed: set[uuid.UUID], loop: asyncio.AbstractEventLoop) -> None:
        """In the thread that looks: find jobs that somebody here may be told of."""
        if self._viewers:
            self._followed.scout(changed, loop)

    # --- clients ------------------------------------------------------------------------------

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        settings = self._service.context.settings
        if len(self._viewers) >= settings.api_streams:
            raise Refusal("Too many clients follow jobs; come again in a moment.")
        told = arrival(environ, auth, settings)
        viewer = self._viewers[sid] = await self._viewer(told)
        self._count()
        self._service.live.wake()
        for room in _rooms_for(viewer):
            await self._server.enter_room(sid, room)
        since = told.since or datetime.now(UTC) - timedelta(seconds=BACK_S)
        self._server.start_background_task(self._tell_how_it_stands, sid, viewer, since)

    async def _viewer(self, told: Arrival) -> Viewer:
        if told.secret is None:
            return Viewer(None, told.local_user)
        try:
            return await viewers.of_secret(self._service, told.secret)
        except HttpProblem as error:
            raise Refusal(error.detail) from error
        except (QuaylineError, PeeweeException) as error:
            raise Refusal("The database is away; come again in a moment.") from error

    async def _tell_how_it_stands(self, sid: str, viewer: Viewer, since: datetime) -> None:
        try:
            jobs = await to_thread.run_sync(_visible, viewer, since)
        except (QuaylineError, PeeweeException) as error:
            log.warning("Who has come is not told how it stands", extra={"error": str(error)})
            return
        for job in jobs:
            self._followed.show(sid, job)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._viewers.pop(sid, None)
        self._count()
        self._followed.leave_unheard()

    async def _subscribe(self, sid: str, told: Any = None) -> dict[str, Any]:
        viewer, job_id = self._viewers.get(sid), _job_id(told)
        if viewer is None or job_id is None:
            return {"error": _WHICH}
        try:
            await to_thread.run_sync(viewers.check, viewer, job_id)
            found = await to_thread.run_sync(known, [job_id])
        except (QuaylineError, PeeweeException) as error:
            return {"error": str(error)}
        await self._server.enter_room(sid, _room("job", str(job_id)))
        for job in found:
            self._followed.show(sid, job)
        return {"job_id": str(job_id)}

    async def _unsubscribe(self, sid: str, told: Any = None) -> dict[str, Any]:
        job_id = _job_id(told)
        if job_id is None:
            return {"error": _WHICH}
        await self._server.leave_room(sid, _room("job", str(job_id)))
        self._followed.leave_unheard()
        return {"job_id": str(job_id)}

    def _count(self) -> None:
        self._service.figures.streams.labels("socket.io").set(len(self._viewers))

    def _clients_in(self, rooms: Sequence[str]) -> "list[tuple[str, int]]":
        """Return who is in one of the rooms, and how many packets each has still to take."""
        found = []
        sockets = self._server.eio.sockets
        for sid, eio_sid in self._server.manager.get_participants("/", [*rooms]):
            socket = sockets.get(eio_sid)
            found.append((sid, socket.queue.qsize() if socket is not None else 0))
        return found

    def _owners(self) -> list[str] | None:
        """Return whose jobs somebody here may be told of; None: of all."""
        told = {viewer.owner for viewer in [*self._viewers.values()]}
        return None if None in told else sorted(owner for owner in told if owner is not None)


class Pushing:
    """Around the application: what is Socket.IO's goes there."""

    def __init__(self, app: ASGIApp, push: Push) -> None:
        self._app = app
        self._push = push

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(PATH):
            scope["route"] = _ROUTE
            await self._push.app(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Route:
    """How such requests are told in the log and in figures."""

    path = PATH


_ROUTE = _Route()


def _room(kind: str, *names: str) -> str:
    """Return a room's name; whatever the names are, two rooms have two."""
    return ":".join([kind, *(quote(name, safe="") for name in names)])


def _rooms_for(viewer: Viewer) -> list[str]:
    """Return the rooms that somebody is in from the begin."""
    if viewer.job_id is not None:
        return [_room("job", str(viewer.job_id))]
    if viewer.owner is None:
        return [_room("user", viewer.user_id or "")]
    if viewer.user_id is not None:
        return [_room("owner", viewer.owner, viewer.user_id)]
    return [_room("owner", viewer.owner)]


def _rooms_of(job: Known) -> list[str]:
    """Return the rooms that are told of a job."""
    rooms = [_room("job", str(job.id)), _room("owner", job.owner)]
    if job.user_id is not None:
        rooms += [_room("user", job.user_id), _room("owner", job.owner, job.user_id)]
    return rooms


def _visible(viewer: Viewer, since: datetime) -> list[Known]:
    """Return the jobs of the viewer's own rooms that go on, or ended after that moment."""
    if viewer.job_id is not None:
        return [job for job in known([viewer.job_id]) if job.owner == viewer.owner]
    mine = {*_rooms_for(viewer)}
    owners = None if viewer.owner is None else [viewer.owner]
    return [job for job in going_on(owners, ended_since=since) if mine & {*_rooms_of(job)}]


def _job_id(told: Any) -> uuid.UUID | None:
    told = told.get("job_id") if isinstance(told, dict) else told
    try:
        return uuid.UUID(told) if isinstance(told, str) else None
    except ValueError:
        return None
