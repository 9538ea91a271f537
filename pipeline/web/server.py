"""Serves the application with uvicorn: as a process of its own, or in a thread of another one."""

import socket
import threading
from typing import Any

import uvicorn

from pipeline.core.context import Context
from pipeline.errors import Refused, Transient
from pipeline.web.app import create_app
from pipeline.web.protocol import PatientProtocol
from pipeline.web.push import MOST_SAID_BYTES

BACKLOG = 2048
KEEP_ALIVE_S = 30
#: Requests in work are given so long when the server ends.
GRACE_S = 20
START_S = 30.0
#: Longer heads are no requests.
MOST_HEAD_BYTES = 64 * 1024


class Running:
    """A server in a thread of its own."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket, host: str) -> None:
        self.url = address(listener, host)
        self._server = server
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="api", daemon=True
        )
        self._thread.start()

    def wait_started(self) -> None:
        """Return once requests are answered."""
        pause = threading.Event()
        for _ in range(int(START_S / 0.01)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            pause.wait(0.01)
        raise Transient("The HTTP server did not start; its log says why.")

    def close(self) -> None:
        """Let requests in work end, then the server."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 10)


def serve(context: Context, listener: socket.socket, *, heard: bool) -> None:
    """Answer requests until SIGINT or SIGTERM; those in work are answered first."""
    _server(context, heard=heard).run(sockets=[listener])


def serve_in_thread(context: Context, host: str, port: int, *, heard: bool = True) -> Running:
    """Return a server that answers at ``url`` until its ``close``; port 0 takes a free one."""
    listener = listen(host, port)
    running = Running(_server(context, heard=heard), listener, host)
    running.wait_started()
    return running


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; ``Refused`` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Refused(f"Nobody can listen at {host}:{port}: {why}.") from error


def address(listener: socket.socket, host: str) -> str:
    """Return the URL under which the socket is reached."""
    port: Any = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Lets those go first whose answers have no end of their own."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: streams and pushed clients at once, other requests when they are answered."""
        app: Any = self.config.app
        app.state.service.close_streams()
        await app.state.push.close()
        await super().shutdown(sockets)


def _server(context: Context, *, heard: bool) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(context, heard=heard),
        http=PatientProtocol.with_patience(context.settings.api_patience_s),
        ws="websockets-sansio",
        ws_max_size=MOST_SAID_BYTES,
        # Small messages to many: packing costs more than it saves.
        ws_per_message_deflate=False,
        lifespan="on",
        # The process's own log takes its lines; requests are told by the guard.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        backlog=BACKLOG,
    )
    return _Server(config)
