"""A receiver of traces (OTLP over HTTP), as a collector is one, that keeps what it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was told."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, str]


class Receiver:
    """What was received."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self.url = ""

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        told = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self._spans += [
                Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    bool(span.events) or span.status.code == Status.STATUS_CODE_ERROR,
                    {each.key: _text(each.value) for each in span.attributes},
                )
                for resource in told.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def spans(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace."""
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def names(self, trace_id: str) -> set[str]:
        """Return their names."""
        return {span.name for span in self.spans(trace_id)}


def _text(value: AnyValue) -> str:
    return str(getattr(value, value.WhichOneof("value") or ""))


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Yield a receiver that listens."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.take(self.rfile.read(int(self.headers["Content-Length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
