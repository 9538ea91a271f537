"""What waits for the access log: a batch is the same until it is taken, and all has its bound."""

import asyncio
from typing import Any

import pytest

from pipeline import broker
from pipeline.core.access_log import MOST_IN_BATCH
from pipeline.settings import Settings
from pipeline.web import access
from pipeline.web.access import AccessLog
from pipeline.web.entries import CALLER
from pipeline.web.figures import Figures


class Broker:
    """Takes batches while it is there; knows how many wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_there = True
        self.queued: int | None = 0
        self.looks = 0
        self.told: list[list[dict[str, Any]]] = []
        monkeypatch.setattr(broker, "send", self.send)
        monkeypatch.setattr(broker, "waiting", self.waiting)

    def send(self, messages: list[Any]) -> bool:
        [message] = messages
        self.told.append(message.args[0])
        return self.is_there

    def waiting(self, queue: str) -> int | None:
        assert queue == "access_log"
        self.looks += 1
        return self.queued

    def ids(self) -> list[list[str]]:
        return [[record["id"] for record in batch] for batch in self.told]


@pytest.fixture
def rabbit(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return Broker(monkeypatch)


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def log(figures: Figures) -> AccessLog:
    return AccessLog(Settings(broker_url="amqp://mq/"), figures)


def note(log: AccessLog, number: int, **told: Any) -> None:
    scope = {"method": "GET", "path": f"/{number}", "headers": [], "client": ("127.0.0.1", 1)}
    scope["quayline.request_id"] = f"r{number}"
    log.note({**scope, **told}, "/x", 200, 0.001)


def dropped(figures: Figures) -> float | None:
    labels = {"outcome": "dropped"}
    return figures.registry.get_sample_value("quayline_access_records_total", labels)


def test_requests_are_handed_on_in_batches(log: AccessLog, rabbit: Broker) -> None:
    for number in range(2 * MOST_IN_BATCH + 1):
        note(log, number)
    assert asyncio.run(log.flush())
    assert [len(batch) for batch in rabbit.told] == [MOST_IN_BATCH, MOST_IN_BATCH, 1]
    paths = [record["path"] for batch in rabbit.told for record in batch]
    assert paths == [f"/{number}" for number in range(2 * MOST_IN_BATCH + 1)]
    assert asyncio.run(log.flush())
    assert len(rabbit.told) == 3


def test_batch_that_was_perhaps_taken_is_told_again_under_the_same_ids(
    log: AccessLog, rabbit: Broker
) -> None:
    rabbit.is_there = False
    note(log, 1)
    assert not asyncio.run(log.flush())
    note(log, 2)
    assert not asyncio.run(log.flush())
    rabbit.is_there = True
    assert asyncio.run(log.flush())
    first, second, third, fourth = rabbit.ids()
    assert first == second == third
    assert len(first) == len(fourth) == 1
    assert first != fourth


def test_oldest_are_dropped_and_counted_past_the_bound(
    log: AccessLog, rabbit: Broker, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MOST_WAITING", 5)
    for number in range(12):
        note(log, number)
    assert asyncio.run(log.flush())
    assert [record["path"] for record in rabbit.told[0]] == [f"/{n}" for n in range(7, 12)]
    assert dropped(figures) == 7


def test_what_is_left_at_the_end_is_counted(
    log: AccessLog, rabbit: Broker, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    rabbit.is_there = False
    note(log, 1)
    asyncio.run(log.flush())
    note(log, 2)
    asyncio.run(log.close())
    assert dropped(figures) == 2
    assert "Requests are not in the access log" in caplog.text


def test_no_more_is_sent_while_nobody_takes_it(
    log: AccessLog, rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rabbit.queued = access.MOST_QUEUED + 1
    note(log, 1)
    assert not asyncio.run(log.flush())
    assert not asyncio.run(log.flush())
    assert (rabbit.told, rabbit.looks) == ([], 1)
    monkeypatch.setattr(access, "LOOK_S", 0.0)
    rabbit.queued = access.MOST_QUEUED
    assert asyncio.run(log.flush())
    assert len(rabbit.told) == 1


@pytest.mark.parametrize(
    ("told", "field", "shown"),
    [
        ({"path": "/t/7.abc/api\x1b[2J\u202e"}, "path", "/t/***/api\ufffd[2J\ufffd"),
        ({"path": "/" + "x" * 5000}, "path", "/" + "x" * 498 + "…"),
        ({"path": "/qlt_secret/x"}, "path", "/***/x"),
        ({"headers": [(b"user-agent", b"a" * 5000)]}, "user_agent", "a" * 200),
        ({"headers": [(b"user-agent", b"\xff\x00")]}, "user_agent", "\ufffd\ufffd"),
        ({"headers": [(b"user-agent", b"")]}, "user_agent", None),
        ({"client": None}, "ip_address", None),
        ({CALLER: "ann\nbob"}, "user_id", "ann\ufffdbob"),
        ({"path_params": {"token": "7.abc", "name": "n"}}, "resource_id", "n"),
    ],
)
def test_what_callers_say_is_mended_bounded_and_without_tokens(
    log: AccessLog, rabbit: Broker, told: dict[str, Any], field: str, shown: str | None
) -> None:
    scope = {"method": "GET", "path": "/x", "headers": [], "client": ("127.0.0.1", 1)}
    scope["quayline.request_id"] = "r"
    log.note({**scope, **told}, "/api/v1/schedules/{name}", 200, 0.0)
    asyncio.run(log.flush())
    [[record]] = rabbit.told
    assert record[field] == shown
