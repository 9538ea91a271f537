"""A proxy in front of a Docker daemon that hangs, is away, loses replies or holds requests back
when it is told to.

It serves one request per connection: every request is forwarded with ``Connection: close``.
"""

import contextlib
import re
import shutil
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HEAD_END = b"\r\n\r\n"
_PIECE_BYTES = 64 * 1024
_REFUSAL = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'Content-Length: 28\r\n\r\n{"message":"forbidden here"}'
)


@dataclass(frozen=True)
class Held:
    """A request that is held back: whether it has come, and may go on."""

    is_here: threading.Event
    goes_on: threading.Event


class DockerProxy:
    """Forwards to the daemon's socket. Its switches may be thrown at any time.

    ``lost`` lists the requests whose reply was dropped after the daemon had given it.
    """

    def __init__(self, daemon_socket: str) -> None:
        self._daemon_socket = daemon_socket
        self._answers = threading.Event()
        self._answers.set()
        self._lock = threading.Lock()
        self._to_lose: list[re.Pattern[str]] = []
        self._to_refuse: list[re.Pattern[str]] = []
        self._to_hold: list[tuple[re.Pattern[str], Held]] = []
        self._open: set[socket.socket] = set()
        self.lost: list[str] = []
        self.requests: list[str] = []
        self.url = ""

    def hang(self) -> None:
        """From now on it takes requests and says nothing."""
        self._answers.clear()

    def answer(self) -> None:
        """It answers again, also what was asked while it did not."""
        self._answers.set()

    def lose_reply(self, request: str, *, times: int = 1) -> None:
        """Drop the reply of the next requests that match, as ``POST .*/containers/create``."""
        with self._lock:
            self._to_lose += [re.compile(request)] * times

    def refuse(self, request: str) -> None:
        """Answer the next request that matches with 403; the daemon does not learn of it."""
        with self._lock:
            self._to_refuse.append(re.compile(request))

    @contextmanager
    def holding(self, request: str) -> Iterator[Held]:
        """Inside the block, the next request that matches does not reach the daemon."""
        held = Held(threading.Event(), threading.Event())
        with self._lock:
            self._to_hold.append((re.compile(request), held))
        try:
            yield held
        finally:
            held.goes_on.set()

    def break_off(self) -> None:
        """Every open connection ends."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        """Forward one request and its reply."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon, self._known(client):
            head, rest = _head(client)
            if not head:
                return
            line = head.partition(b"\r\n")[0].decode("latin-1")
            self.requests.append(line)
            self._answers.wait()
            self._hold(line)
            if self._takes(self._to_refuse, line):
                client.sendall(_REFUSAL)
                return
            daemon.connect(self._daemon_socket)
            daemon.sendall(head + b"\r\nConnection: close" + _HEAD_END + rest)
            up = threading.Thread(target=_pump, args=(client, daemon), daemon=True)
            up.start()
            self._reply(line, daemon, client)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            up.join()

    def _hold(self, line: str) -> None:
        with self._lock:
            found = [each for each in self._to_hold if each[0].match(line)][:1]
            self._to_hold = [each for each in self._to_hold if each not in found]
        for _, held in found:
            held.is_here.set()
            held.goes_on.wait()

    def _reply(self, line: str, daemon: socket.socket, client: socket.socket) -> None:
        is_lost = self._takes(self._to_lose, line)
        with contextlib.suppress(OSError):
            while piece := daemon.recv(_PIECE_BYTES):
                self._answers.wait()
                if not is_lost:
                    client.sendall(piece)
        if is_lost:
            self.lost.append(line)

    def _takes(self, wanted: list[re.Pattern[str]], line: str) -> bool:
        with self._lock:
            for pattern in wanted:
                if pattern.match(line):
                    wanted.remove(pattern)
                    return True
        return False

    @contextmanager
    def _known(self, client: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(client)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(client)


@contextmanager
def docker_proxy(
    daemon_socket: str = "/var/run/docker.sock", *, tls: ssl.SSLContext | None = None
) -> Iterator[DockerProxy]:
    """Give a proxy that listens on a socket of its own; with ``tls`` on a port of 127.0.0.1."""
    proxy = DockerProxy(daemon_socket)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                if tls is None:
                    proxy.serve(self.request)
                else:
                    with tls.wrap_socket(self.request, server_side=True) as secured:
                        proxy.serve(secured)

    # Not in pytest's folder: the path of a socket has at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="quayline-proxy-")
    server: socketserver.BaseServer
    if tls is None:
        path = str(Path(folder) / "docker.sock")
        server = _UnixServer(path, Handler)
        proxy.url = f"unix://{path}"
    else:
        server = _TcpServer(("127.0.0.1", 0), Handler)
        proxy.url = f"tcp://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.answer()
        proxy.break_off()
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of the request, without its end, and what came with it of the body."""
    read = b""
    while _HEAD_END not in read:
        piece = client.recv(_PIECE_BYTES)
        if not piece:
            return b"", b""
        read += piece
    head, _, rest = read.partition(_HEAD_END)
    return head, rest


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            sink.sendall(piece)
