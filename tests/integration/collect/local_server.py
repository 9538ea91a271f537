"""A web server of the tests' own, which answers as it is told, and remembers what it was asked."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request; ``times``: how often its path was asked for, this one counted."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    times: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """An answer; ``gate`` holds its body back until it is set."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None
    endless: bool = False


Route = Callable[[Asked], Reply]


def html(text: str, **kwargs: Any) -> Reply:
    """A page in UTF-8."""
    headers = {"Content-Type": "text/html; charset=utf-8", **kwargs.pop("headers", {})}
    return Reply(text.encode(), headers=headers, **kwargs)


def jsonic(document: Any, **kwargs: Any) -> Reply:
    """A JSON document."""
    headers = {"Content-Type": "application/json", **kwargs.pop("headers", {})}
    return Reply(json.dumps(document).encode(), headers=headers, **kwargs)


class LocalServer:
    """Routes by path; ``otherwise`` answers what has none."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.otherwise: Route = lambda asked: Reply(status=404)
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._times: Counter[str] = Counter()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        with self._lock:
            return [each.path for each in self.asked]

    def bodies(self, path: str) -> list[Any]:
        with self._lock:
            return [each.json() for each in self.asked if each.path == path]

    def start(self) -> None:
        """Listens, on the same port as before."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        self.port = server.server_port
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Connections are refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def note(self, asked: Asked) -> None:
        with self._lock:
            self._times[asked.path] += 1
            asked.times = self._times[asked.path]
            self.asked.append(asked)

    def hold(self, reply: Reply) -> None:
        """The reply's gate is open, or the server is at its end."""
        while reply.gate and not (reply.gate.wait(0.1) or self.closing.is_set()):
            pass

    def answer(self, asked: Asked) -> Reply:
        return self.routes.get(asked.path, self.otherwise)(asked)


@contextmanager
def serving() -> Iterator[LocalServer]:
    """A server on a free port, until the end of the block."""
    server = LocalServer()
    server.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.stop()


def _handler(owner: LocalServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
                time.monotonic(),
                0,
            )
            owner.note(asked)
            try:
                self._send(owner.answer(asked))
            except OSError:
                self.close_connection = True

        def do_POST(self) -> None:
            self.do_GET()

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.endless:
                self.send_header("Connection", "close")
                self.end_headers()
                while not owner.closing.is_set():
                    self.wfile.write(b"x" * 65536)
                return
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            owner.hold(reply)
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
