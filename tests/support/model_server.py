"""A server that speaks chat/completions as model endpoints do, and fails as it is told to.

``python -m tests.support.model_server PORT`` runs one by hand.
"""

import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status."""

    code: int
    message: str = "It went wrong."
    retry_after: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Break off after so many pieces; ``in_order``: as if the answer were whole."""

    after: int = 2
    in_order: bool = False
    usage: bool = False


@dataclass(frozen=True, slots=True)
class Silent:
    """Say so many pieces, then nothing until the client goes, or the server ends."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Say so in the stream."""

    line: str = "data: {no json\n\n"


Fault = Status | Cut | Silent | Nonsense


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, str]]:
        """What the model was told."""
        found: list[dict[str, str]] = self.body["messages"]
        return found

    @property
    def said(self) -> str:
        """All of it, as one text."""
        return "\n".join(each["content"] for each in self.messages)


def document(outline: dict[str, Any]) -> Callable[[Asked], str]:
    """Answer as a model that writes a document by this outline."""

    def answer(asked: Asked) -> str:
        if "Outline a document" in asked.said:
            return json.dumps(outline, ensure_ascii=False)
        if "List the references" in asked.said:
            return json.dumps({"title": "References", "references": ["A. Author: A Book."]})
        return f"Text of {asked.messages[-1]['content'].rpartition('Now write ')[2]}"

    return answer


def echo(asked: Asked) -> str:
    """Answer with what was said last."""
    return f"You said: {asked.messages[-1]['content']}"


@dataclass
class ModelServer:
    """A server that listens. ``script`` has the faults of the next requests, in their order (None:
    none); ``answer`` makes the text of a good answer; ``keys``: those that it takes, empty: any."""

    url: str = ""
    answer: Callable[[Asked], str] = echo
    keys: set[str] = field(default_factory=set)
    script: deque[Fault | None] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    finish_reason: str = "stop"
    #: Pieces of answers that went out, and clients that left before the end.
    pieces: int = 0
    left: int = 0
    is_closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fails(self, *faults: Fault | None) -> None:
        """Let the next requests fail so."""
        with self.lock:
            self.script.extend(faults)

    def take(self, asked: Asked) -> Fault | None:
        """Note the request; return how it fails."""
        with self.lock:
            self.asked.append(asked)
            fault = self.script.popleft() if self.script else None
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.keys and key not in self.keys:
            return Status(401, f"Incorrect API key provided: {key}.", error_code="invalid_api_key")
        return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: ModelServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            # As Google's, for a signed assertion.
            self._json(200, {"access_token": "token-of-google", "expires_in": 3600})
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(time.time(), self.path, headers, json.loads(body))
        fault = self.kept.take(asked)
        if isinstance(fault, Status):
            told = {"message": fault.message, "code": fault.error_code}
            more = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            self._json(fault.code, {"error": told}, more)
            return
        try:
            self._stream(asked, fault)
        except OSError:
            self.kept.left += 1
            self.close_connection = True

    def _stream(self, asked: Asked, fault: Fault | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text = self.kept.answer(asked)
        pieces = [text[at : at + 8] for at in range(0, len(text), 8)]
        usage = {"prompt_tokens": 11, "completion_tokens": len(pieces), "total_tokens": 0}
        most = fault.after if isinstance(fault, Cut | Silent) else len(pieces)
        for piece in pieces[:most]:
            more = {"usage": usage} if isinstance(fault, Cut) and fault.usage else {}
            self._event(asked, {"delta": {"content": piece}, "finish_reason": None}, **more)
            self.kept.pieces += 1
        if fault is not None:
            self._fail(fault)
            return
        self._event(asked, {"delta": {}, "finish_reason": self.kept.finish_reason})
        if (asked.body.get("stream_options") or {}).get("include_usage"):
            self._event(asked, usage=usage)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _fail(self, fault: Fault) -> None:
        if isinstance(fault, Silent):
            while not self.kept.is_closing.is_set():
                self._look()
        elif isinstance(fault, Nonsense):
            self._chunk(fault.line.encode())
            self._chunk(b"")
        elif isinstance(fault, Cut) and fault.in_order:
            self._chunk(b"")
        self.close_connection = True

    def _look(self) -> None:
        """Wait a moment; ``ConnectionResetError`` when the client has left."""
        readable = select.select([self.connection], [], [], 0.05)[0]
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionResetError

    def _event(
        self, asked: Asked, choice: dict[str, Any] | None = None, **more: dict[str, Any]
    ) -> None:
        told = {
            **{"id": "c", "object": "chat.completion.chunk", "created": 0},
            "model": asked.body["model"],
            "choices": [] if choice is None else [{"index": 0, **choice}],
            **more,
        }
        self._chunk(f"data: {json.dumps(told)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _json(
        self, code: int, document: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def model_server(port: int = 0, *, certificates: Path | None = None) -> Iterator[ModelServer]:
    """Yield a server that listens; ``url`` is its base_url. With certificates it speaks TLS."""
    kept = ModelServer()
    handler = type("Handler", (_Handler,), {"kept": kept})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    if certificates is not None:
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        server.socket = shown.wrap_socket(server.socket, server_side=True)
        kept.url = kept.url.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.is_closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    with model_server(int(sys.argv[1])) as running:
        print(running.url, flush=True)
        threading.Event().wait()
