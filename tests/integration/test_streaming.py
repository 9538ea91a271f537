"""A job followed in a loop: in one process, and beside workers on RabbitMQ and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Client, Job
from pipeline.errors import Refused, WaitTimeout
from pipeline.settings import Settings
from tests.support.faults import Fleet
from tests.support.workers import running

pytestmark = pytest.mark.timeout(120)

STEPS: list[dict[str, Any]] = [
    {"name": "first", "mode": "test", "service": "any", "task": "tell"},
    {"name": "then", "mode": "test", "service": "any", "task": "echo", "needs": ["first"]},
    {"name": "bad", "mode": "test", "service": "any", "task": "fail", "needs": ["then"]},
]


@pytest.fixture(params=["embedded", "rabbitmq"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """A client whose jobs are worked on."""
    if request.param == "embedded":
        settings = Settings(state_dir=tmp_path / "state", service_modules="tests.support.offers")
        with Client(settings) as opened:
            yield opened
        return
    fleet: Fleet = request.getfixturevalue("fleet")
    fleet.more_env["QUAYLINE_SERVICE_MODULES"] = "tests.support.offers"
    worker = fleet.worker(queues=("fast_tasks", "heavy_tasks", "monitoring"))
    with running(worker, fleet.scheduler()), Client(fleet.settings, work=False) as opened:
        worker.ready()
        yield opened


def followed(job: Job, **told: Any) -> list[Any]:
    return [*job.stream(timeout_s=60, **told)]


def test_steps_are_told_in_their_order_with_results_and_errors(client: Client) -> None:
    job = client.workflow(STEPS)
    messages = followed(job)
    assert messages[-1].event == "end"
    assert messages[-1].data["state"] == job.status == "partial"
    progress = [m.data for m in messages if m.event == "progress"]
    told = [(m["name"], m["status"]) for m in progress]
    ended = [(name, status) for name, status in told if status not in ("pending", "running")]
    assert ended == [("first", "completed"), ("then", "completed"), ("bad", "failed")]
    last = {m["name"]: m for m in progress}
    assert last["then"]["result"]["input"] == {}
    assert "It did not work" in last["bad"]["error"]
    assert "".join(m.get("partial", "") for m in progress if m["name"] == "first") == "Hello, world"
    rows = [
        n
        for m in messages
        if m.event == "transition"
        for a, b in m.data["rows"]
        for n in range(a, b + 1)
    ]
    assert rows == [row["id"] for row in job.events()]


def test_a_stream_goes_on_where_it_was_left(client: Client) -> None:
    job = client.workflow(STEPS)
    first = []
    for message in job.stream(timeout_s=60):
        first.append(message)
        if message.id is not None:
            break
    then = followed(job, since=first[-1].id)
    rows = [
        n
        for m in [*first, *then]
        if m.event == "transition"
        for a, b in m.data["rows"]
        for n in range(a, b + 1)
    ]
    assert sorted(rows) == [row["id"] for row in job.events()]
    assert len(rows) == len({*rows})
    assert [m.event for m in followed(job, since=then[-1].id)] == ["end"]


def test_a_stream_ends_when_it_takes_too_long(client: Client, tmp_path: Path) -> None:
    told = {"path": str(tmp_path / "begun")}
    job = client.service("test", "any", task="wait", input=told)
    with pytest.raises(WaitTimeout):
        for _ in job.stream(timeout_s=1.0):
            pass
    job.cancel()
    assert followed(job)[-1].data["state"] == "cancelled"


def test_what_is_no_id_of_a_stream_is_refused(client: Client) -> None:
    job = client.workflow(STEPS)
    with pytest.raises(Refused, match="event id"):
        followed(job, since="yesterday")
