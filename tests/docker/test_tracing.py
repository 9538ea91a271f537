"""One trace from the submission through messages and actors into the container."""

import uuid
from collections.abc import Iterator

import pytest

from pipeline import Client
from pipeline.settings import Settings
from tests.docker.conftest import logs_of, python
from tests.support.receiver import Receiver, receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180), pytest.mark.usefixtures("workers")]

TELL = "import os; print(os.environ['TRACEPARENT'])"


@pytest.fixture(scope="module")
def traces() -> Iterator[Receiver]:
    """Where the deployment sends its spans, every 200 ms."""
    with pytest.MonkeyPatch.context() as patch, receiver() as kept:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield kept


@pytest.fixture(scope="module")
def settings(settings: Settings, traces: Receiver) -> Settings:
    """The settings of the other tests, and tracing."""
    return settings.model_copy(update={"tracing_url": traces.url})


def test_container_goes_on_with_the_trace_of_its_job(client: Client, traces: Receiver) -> None:
    job = client.run(python(TELL)).wait(timeout_s=60)
    assert job.status == "succeeded"
    trace_id = uuid.UUID(job.id).hex
    wanted = {
        *("submit container", "send plan_container", "plan_container", "plan"),
        *("send launch_container", "launch_container", "collect"),
        *("send finish_job", "finish_job"),
    }
    eventually(lambda: wanted <= traces.names(trace_id), within_s=20, what="all spans came")
    spans = {span.name: span for span in traces.spans(trace_id)}
    root = spans["submit container"]
    assert root.parent_id == ""
    for actor in ("plan_container", "launch_container", "finish_job"):
        assert spans[f"send {actor}"].parent_id == root.span_id
        assert spans[actor].parent_id == spans[f"send {actor}"].span_id
    assert not any(span.failed for span in spans.values())
    carried = logs_of(job).decode().strip()
    assert carried == f"00-{trace_id}-{spans['launch_container'].span_id}-01"


def test_trace_that_a_job_brings_is_left_to_it(client: Client) -> None:
    own = f"00-{'a' * 32}-{'b' * 16}-01"
    job = client.run(python(TELL, env={"TRACEPARENT": own})).wait(timeout_s=60)
    assert logs_of(job).decode().strip() == own
