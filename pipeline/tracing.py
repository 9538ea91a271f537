"""Traces: one for each job, from its submission through messages and actors to what these run.

The trace's id *is* the job's id, and that of its first span is computed from it. So a trace needs
no column and no message that arrives: whoever takes a job up adds to its trace, and every log line
with a ``job_id`` leads there. Nothing is traced, and nothing of OpenTelemetry imported, unless
``QUAYLINE_TRACING_URL`` is set.
"""

import hashlib
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import Refused

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import SpanContext

#: The option of a message, and in upper case the variable of a container, that carry a trace on.
CARRIER = "traceparent"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

#: A receiver that is away costs an ending process so long, and working ones nothing.
FLUSH_S = 2.0

_provider: "TracerProvider | None" = None
_url = ""
#: The ids of the next span of this thread; the span of the actor that it runs.
_here = threading.local()


def begin(url: str, name: str) -> None:
    """Send spans to that address (OTLP over HTTP) from now on; with ``""`` nothing is traced."""
    global _provider, _url
    if url == _url:
        return
    end()
    if not url:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Refused(
            "QUAYLINE_TRACING_URL is set, but OpenTelemetry is not there:"
            " pip install 'quayline[tracing]'."
        ) from error
    # Ten lines and a traceback for each time that the receiver is away.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    told = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "quayline")}
    told["service.instance.id"] = name
    _provider = TracerProvider(resource=Resource.create(told), id_generator=_ids())
    exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=FLUSH_S)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _url = url


def flush() -> None:
    """Send what has waited; what the receiver does not take in time is lost."""
    if _provider is not None:
        _provider.force_flush(int(FLUSH_S * 1000))


def end() -> None:
    """Send what has waited, and trace no more."""
    global _provider, _url
    if _provider is not None:
        _provider.shutdown()
    _provider, _url = None, ""


def _ids() -> "IdGenerator":
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random ids, but for the first span of a job."""

        def generate_span_id(self) -> int:
            wanted: uuid.UUID | None = getattr(_here, "job_id", None)
            return _first_span(wanted) if wanted else super().generate_span_id()

        def generate_trace_id(self) -> int:
            wanted: uuid.UUID | None = getattr(_here, "job_id", None)
            return wanted.int if wanted else super().generate_trace_id()

    return Ids()


def _first_span(job_id: uuid.UUID) -> int:
    return int.from_bytes(hashlib.sha256(job_id.bytes).digest()[:8]) or 1


def submitted(job_id: uuid.UUID, kind: str, began_at: float) -> None:
    """The job was stored and rung for: its trace begins with this, at that time."""
    if _provider is None:
        return
    from opentelemetry import trace
    from opentelemetry.context import Context

    # Who submits may be traced as well: theirs is another trace, and it is named here.
    around = trace.get_current_span().get_span_context()
    _here.job_id = job_id
    try:
        _tracer().start_span(
            f"submit {kind}",
            context=Context(),
            links=[trace.Link(around)] if around.is_valid else [],
            attributes={"quayline.job_id": str(job_id), "quayline.kind": kind},
            start_time=int(began_at * 1e9),
        ).end()
    finally:
        _here.job_id = None


def message(actor: str, queue: str, job_id: uuid.UUID | None) -> Mapping[str, str]:
    """Note a message in the job's trace, or in that of the work around; return its options."""
    if _provider is None:
        return {}
    from opentelemetry import trace

    context = _of_job(job_id) if job_id else None
    if context is None and not trace.get_current_span().get_span_context().is_valid:
        return {}
    attributes = {"messaging.system": "rabbitmq", "messaging.destination.name": queue}
    span = _tracer().start_span(
        f"send {actor}", context, kind=trace.SpanKind.PRODUCER, attributes=attributes
    )
    span.end()
    return {CARRIER: _carried(span.get_span_context())}


def begin_actor(actor: str, options: Mapping[str, Any], sent_at: float) -> None:
    """The thread runs an actor for a message; ``end_actor`` comes on the same thread."""
    carried = options.get(CARRIER)
    if _provider is None or carried is None:
        return
    from opentelemetry import context, propagate, trace

    waited_s = max(0.0, time.time() - sent_at)
    span = _tracer().start_span(
        actor,
        propagate.extract({CARRIER: carried}, context.Context()),
        kind=trace.SpanKind.CONSUMER,
        attributes={"quayline.queue_wait_s": waited_s},
    )
    _here.actor = (span, context.attach(trace.set_span_in_context(span)))


def end_actor(error: BaseException | None) -> None:
    """The actor is done."""
    began: tuple[Any, Any] | None = getattr(_here, "actor", None)
    if began is None:
        return
    from opentelemetry import context

    _here.actor = None
    span, token = began
    context.detach(token)
    if error is not None:
        span.record_exception(error)
    span.end()


@contextmanager
def span(name: str, job_id: uuid.UUID) -> Iterator[None]:
    """Note what the block does in the job's trace, whichever message led to it."""
    if _provider is None:
        yield
        return
    from opentelemetry import trace

    with trace.use_span(_begun(name, job_id), end_on_exit=True):
        yield


class Part:
    """A span of what is begun here and ends elsewhere, on another thread; none where nothing is
    traced."""

    def __init__(self, name: str, job_id: uuid.UUID, told: Mapping[str, str | int]) -> None:
        self._span = _begun(name, job_id, told) if _provider is not None else None

    @contextmanager
    def around(self) -> Iterator[None]:
        """What the block begins goes on in it, other threads with its context too."""
        if self._span is None:
            yield
            return
        from opentelemetry import trace

        with trace.use_span(self._span):
            yield

    def end(self, outcome: str, *, is_bad: bool) -> None:
        """It is over, and came to that."""
        if self._span is None:
            return
        from opentelemetry import trace

        self._span.set_attribute("quayline.outcome", outcome)
        if is_bad:
            self._span.set_status(trace.StatusCode.ERROR, outcome)
        self._span.end()


def _begun(name: str, job_id: uuid.UUID, told: Mapping[str, str | int] | None = None) -> Any:
    from opentelemetry import trace

    around = trace.get_current_span().get_span_context()
    is_same = around.trace_id == job_id.int
    return _tracer().start_span(
        name,
        None if is_same else _of_job(job_id),
        links=[trace.Link(around)] if around.is_valid and not is_same else [],
        attributes=told,
    )


def environment(job_id: uuid.UUID) -> dict[str, str]:
    """Return the variable by which a program that runs for the job goes on with its trace."""
    if _provider is None:
        return {}
    from opentelemetry import trace

    around = trace.get_current_span(_of_job(job_id)).get_span_context()
    here = trace.get_current_span().get_span_context()
    return {CARRIER.upper(): _carried(here if here.trace_id == job_id.int else around)}


def _tracer() -> Any:
    assert _provider is not None
    return _provider.get_tracer("quayline")


def _of_job(job_id: uuid.UUID) -> "Context":
    """Return the context in which the job's first span is the current one."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    first = trace.SpanContext(job_id.int, _first_span(job_id), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(first), Context())


def _carried(told: "SpanContext") -> str:
    return f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags:02x}"
