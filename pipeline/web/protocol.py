"""HTTP/1.1 of the server, with an end to clients that begin a request and do not go on."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.web import problems

#: Between two looks; whoever is between two requests at both is let go.
LOOK_S = 20.0


class PatientProtocol(H11Protocol):
    """uvicorn's own limits idle connections after a request; this one also those before, and those
    whose request was answered before it was sent whole."""

    look_s = LOOK_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to look."""
        super().connection_made(transport)  # type: ignore[arg-type]
        # Whatever the process logs: such a line holds the token that rides in a path.
        self.access_log = False
        self._last_seen: Any = self
        self._looking = self.loop.call_later(self.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        cycle = self.cycle
        is_between = cycle is None or cycle.response_complete
        if is_between and self._last_seen is cycle:
            self.transport.close()
            return
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
