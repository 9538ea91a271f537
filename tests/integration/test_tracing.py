"""Traces of jobs, by setting: whoever takes a job up adds to its trace, and nobody waits for it."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Client, Job, broker, tracing
from pipeline.errors import Refused
from pipeline.messages import Defect, defect
from pipeline.settings import MIB, Settings
from tests.support.receiver import Receiver, Span, receiver
from tests.support.servers import free_port
from tests.support.waiting import eventually


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver, to which spans are sent every 100 ms."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with receiver() as kept:
        yield kept
    tracing.end()


def settings(folder: Path, url: str) -> Settings:
    """Settings of an embedded service that traces."""
    return Settings(state_dir=folder / "state", tracing_url=url, threads=1)


def test_lint_job_is_one_trace(traces: Receiver, tmp_path: Path) -> None:
    with Client(settings(tmp_path, traces.url)) as client:
        job = client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi").wait(timeout_s=60)
        eventually(lambda: job.progress().finalized, within_s=20)
    wanted = {"submit sql_lint", "expand_archive", "plan", "lint_files", "finish_job"}
    trace_id = uuid.UUID(job.id).hex
    # Closing the client has sent the rest.
    assert wanted <= traces.names(trace_id)
    parents = {span.parent_id for span in traces.spans(trace_id)} - {""}
    assert parents <= {span.span_id for span in traces.spans(trace_id)}


def test_call_of_a_service_is_a_span_that_its_own_spans_join(
    traces: Receiver, tmp_path: Path
) -> None:
    own = {"service_modules": "tests.support.offers", "service_memory_bytes": 256 * MIB}
    with Client(settings(tmp_path, traces.url).model_copy(update=own)) as client:
        light = client.service("test", "any", task="traced").wait(timeout_s=60)
        heavy = client.service("test", "once", task="traced").wait(timeout_s=60)
        bad = client.service("test", "any", task="fail").wait(timeout_s=60)
        seen, carried = light.result()["result"], heavy.result()["result"]
    call = named(traces, light, "call test/any")
    # A busy machine may hear of a task twice; who comes second finds nothing to do, in a span too.
    actors = [each for each in spans(traces, light) if each.name == "execute_task"]
    assert call.parent_id in {each.span_id for each in actors}
    assert not call.failed
    assert seen == call.span_id
    told = {name.removeprefix("quayline."): each for name, each in call.attributes.items()}
    assert uuid.UUID(told.pop("task_id"))
    assert told == {
        **{"mode": "test", "service": "any", "task": "traced"},
        **{"attempt": "1", "outcome": "completed"},
    }
    call = named(traces, heavy, "call test/once")
    assert carried == f"00-{uuid.UUID(heavy.id).hex}-{call.span_id}-01"
    call = named(traces, bad, "call test/any")
    assert (call.failed, call.attributes["quayline.outcome"]) == (True, "error")


def spans(traces: Receiver, job: Job) -> list[Span]:
    return traces.spans(uuid.UUID(job.id).hex)


def named(traces: Receiver, job: Job, name: str) -> Span:
    [span] = [each for each in spans(traces, job) if each.name == name]
    return span


def test_receiver_that_is_away_delays_nothing(tmp_path: Path) -> None:
    with Client(settings(tmp_path, f"http://127.0.0.1:{free_port()}")) as client:
        began_at = time.monotonic()
        client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi").wait(timeout_s=60)
        took_s = time.monotonic() - began_at
    assert took_s < 30
    assert time.monotonic() - began_at - took_s < 3 * tracing.FLUSH_S


def test_work_that_another_message_led_to_is_in_its_own_trace(traces: Receiver) -> None:
    tracing.begin(traces.url, "here")
    mine, other = uuid.uuid4(), uuid.uuid4()
    sent = broker.message("zip_processing", "expand_archive", str(mine), job_id=mine)
    tracing.begin_actor("expand_archive", sent.options, time.time())
    with tracing.span("plan", other):
        carried = tracing.environment(other)["TRACEPARENT"]
    tracing.end_actor(ValueError("no"))
    tracing.flush()
    [plan] = traces.spans(other.hex)
    assert carried == f"00-{other.hex}-{plan.span_id}-01"
    [actor] = [span for span in traces.spans(mine.hex) if span.name == "expand_archive"]
    assert actor.failed


def test_nothing_is_carried_where_nothing_is_traced() -> None:
    job_id = uuid.uuid4()
    sent = broker.message("zip_processing", "expand_archive", str(job_id), job_id=job_id)
    assert sent.options == {"form": 1}
    assert tracing.environment(job_id) == {}
    tracing.submitted(job_id, "sql_lint", 0.0)
    tracing.begin_actor("expand_archive", {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}, 0.0)
    tracing.end_actor(None)
    with tracing.span("plan", job_id):
        pass


@pytest.mark.parametrize("told", [7, "", "00-zz", ["00"], {"a": 1}, f"00-{'1' * 32}-{'2' * 16}"])
def test_bent_trace_of_a_message_sets_it_aside(told: object) -> None:
    sent = broker.message("zip_processing", "expand_archive", str(uuid.uuid4()))
    bent = sent.copy(options={"traceparent": told})
    assert defect(bent, "zip_processing", {}) is Defect.OTHER_FORM
    good = sent.copy(options={"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
    assert defect(good, "zip_processing", {}) is None


def test_setting_without_the_packages_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Refused, match=r"pip install 'quayline\[tracing\]'"):
        tracing.begin("http://127.0.0.1:1", "here")
    tracing.end()
