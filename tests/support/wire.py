"""A wire to PostgreSQL that can be cut after a commit went in and before its answer comes out."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

#: PostgreSQL's answer to a statement that ended: its command tag, as it stands on the wire.
COMMITTED = b"COMMIT\x00"


class Wire:
    """Passes everything on between its clients and the server; ``cut`` arms it."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        who = f"{parts.username}:{parts.password or ''}@" if parts.username else ""
        self.url = parts._replace(netloc=f"{who}127.0.0.1:{port}").geturl()
        self._lock = threading.Lock()
        self._armed = self._spared = 0
        self.cuts = 0

    def cut(self, commits: int = 1, *, after: int = 0) -> None:
        """Swallow the answers to so many commits after the next few, and end their connections."""
        with self._lock:
            self._armed, self._spared = commits, after

    def serve(self) -> None:
        """Take clients until the wire is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for one, other, judged in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._pass_on, args=(one, other, judged), daemon=True
                    ).start()

    def close(self) -> None:
        """Take nobody any more."""
        # A listener that is closed under accept() would go on; one that is shut down does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, judged: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if judged and COMMITTED in data and self._takes():
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()

    def _takes(self) -> bool:
        with self._lock:
            if not self._armed:
                return False
            if self._spared:
                self._spared -= 1
                return False
            self._armed -= 1
            self.cuts += 1
            return True


@contextmanager
def wire(server_url: str) -> Iterator[Wire]:
    """Open a wire for the block."""
    opened = Wire(server_url)
    thread = threading.Thread(target=opened.serve, name="wire")
    thread.start()
    try:
        yield opened
    finally:
        opened.close()
        thread.join()
