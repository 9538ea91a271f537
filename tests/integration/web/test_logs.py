"""Logs over HTTP: in parts of bounded size, and from hosts that do not answer."""

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from pipeline.adapters.engines.model import LogEntry
from pipeline.adapters.engines.timestamps import to_text
from pipeline.core import executions, hosts
from pipeline.core.context import Context
from pipeline.kinds.container.keeping import line_of, log_name
from pipeline.store.database import execute, transaction
from pipeline.web import logs, service
from tests.integration.web.conftest import Api, Running
from tests.support.waiting import eventually

WIDE = 16_000


def test_part_of_a_log_is_bounded_in_bytes(
    api: Api, running: Callable[..., Running], context: Context
) -> None:
    told = running()
    with context.blobs.writing(log_name(executions.get(told.id))) as out:
        for number in range(100):
            data = b"\xff" * WIDE + b"%d\n" % number
            out.write(line_of(LogEntry(to_text(10**18 + number), "stdout", data)))
    since, texts = "", []
    client = api.caller()
    for _ in range(100):
        answer = client.get(f"/api/v1/jobs/{told.job_id}/logs", params={"since": since})
        assert len(answer.content) < logs.MOST_BYTES + 10 * WIDE
        part = answer.json()
        texts += [each["text"] for each in part["items"]]
        since = part["next_since"]
        if not part["items"]:
            break
    assert [text.rpartition("xff")[2] for text in texts] == [f"{each}\n" for each in range(100)]


@pytest.fixture
def hung(context: Context) -> Iterator[socket.socket]:
    """A Docker host that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    with transaction():
        execute("DELETE FROM hosts")
    hosts.add("here", f"tcp://127.0.0.1:{listener.getsockname()[1]}", slots=8, labels={})
    yield listener
    listener.close()


def test_host_that_hangs_keeps_nobody_waiting_but_those_who_ask_it(
    served: Callable[..., Api],
    running: Callable[..., Running],
    hung: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "MOST_READINGS", 2)
    api, told = served(), running()
    headers = dict(api.caller().headers)
    address = f"{api.url}/api/v1/jobs/{told.job_id}/logs"
    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.get(address, headers=headers, timeout=60).status_code)

    asking = [threading.Thread(target=ask) for _ in range(24)]
    for each in asking:
        each.start()
    eventually(lambda: len(answers) == 22, within_s=20)
    assert answers == [503] * 22
    assert httpx.get(f"{api.url}/api/v1/jobs", headers=headers, timeout=5).is_success
    hung.close()
    for each in asking:
        each.join(60)
    assert answers[22:] == [200, 200]


def test_host_that_is_away_is_not_asked(
    api: Api, running: Callable[..., Running], hung: socket.socket
) -> None:
    told = running()
    hosts.note_away("here", "It hangs.")
    client = api.caller()
    client.timeout = 4
    assert client.get(f"/api/v1/jobs/{told.job_id}/logs").json()["items"] == []
    hung.close()
