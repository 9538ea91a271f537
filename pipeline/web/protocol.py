"""HTTP/1.1 of the server, with an end to clients that do not go on to send, or to take."""

import asyncio
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.web import problems
from pipeline.web.pace import LEAST_BYTES_PER_S

#: Between two looks; whoever is between two requests at both is let go.
LOOK_S = 20.0


class PatientProtocol(H11Protocol):
    """uvicorn's own limits idle connections after a request; this one also those before, and those
    whose request was answered before it was sent whole."""

    look_s = LOOK_S
    patience_s = LOOK_S

    @classmethod
    def with_patience(cls, patience_s: float) -> type["PatientProtocol"]:
        """Return the protocol that lets go whoever takes nothing of an answer for so long."""
        return type(cls.__name__, (cls,), {"patience_s": patience_s})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to look."""
        super().connection_made(transport)  # type: ignore[arg-type]
        # Whatever the process logs: such a line holds the token that rides in a path.
        self.access_log = False
        self._last_seen: Any = self
        self._took_at = time.monotonic()
        self._untaken_bytes = 0
        self._looking = self.loop.call_later(self.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._looking.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Look no more: another protocol has the connection now."""
        self._looking.cancel()
        super().handle_websocket_upgrade(event)

    def resume_writing(self) -> None:
        """The client has taken something."""
        self._untaken_bytes = 0
        super().resume_writing()

    def _takes_nothing(self) -> bool:
        """Tell whether an answer has waited too long for its client, or for too much of it."""
        waiting_bytes = self.transport.get_write_buffer_size()
        waits = waiting_bytes > 0 and (self.flow.write_paused or self.transport.is_closing())
        now = time.monotonic()
        took_s = now - self._took_at
        taken_bytes = self._untaken_bytes - waiting_bytes
        if not waits or not self._untaken_bytes or taken_bytes > LEAST_BYTES_PER_S * took_s:
            self._took_at = now
            self._untaken_bytes = waiting_bytes if waits else 0
            return False
        return took_s >= self.patience_s

    def _look(self) -> None:
        if self._takes_nothing():
            self.transport.abort()
            return
        cycle = self.cycle
        is_between = cycle is None or cycle.response_complete
        if is_between and self._last_seen is cycle:
            self.transport.close()
        self._last_seen = cycle if is_between else self
        self._looking = self.loop.call_later(self.look_s, self._look)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as every other mistake is answered."""
        response = problems.answer(400, msg, "bad_request")
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
