"""The server in a thread: it starts, bears slow clients, and ends after the requests in work."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pipeline.core.context import Context
from pipeline.errors import Refused
from pipeline.web import job_rows
from pipeline.web.protocol import PatientProtocol
from pipeline.web.server import listen, serve_in_thread
from tests.integration.web.conftest import Api
from tests.support.waiting import eventually

SLOW_S = 0.3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks at its connections often."""
    monkeypatch.setattr(PatientProtocol, "look_s", SLOW_S)


def test_clients_that_take_no_answer_do_not_keep_others_waiting(
    impatient: None, served: Callable[..., Api]
) -> None:
    api = served(api_concurrency=3, api_patience_s=SLOW_S)
    url = httpx.URL(api.url)
    deaf = [socket.socket() for _ in range(3)]
    for connection in deaf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((url.host, url.port or 80))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    busy = httpx.Client(base_url=api.url)
    eventually(lambda: busy.get("/openapi.json").status_code == 503, within_s=10)
    eventually(lambda: busy.get("/openapi.json").status_code == 200, within_s=10)
    busy.close()
    for connection in deaf:
        connection.close()


@pytest.fixture
def connect(impatient: None, api: Api) -> Iterator[Callable[[], socket.socket]]:
    """Open connections to the server, which are closed at the end."""
    url = httpx.URL(api.url)
    opened: list[socket.socket] = []

    def one() -> socket.socket:
        opened.append(socket.create_connection((url.host, url.port or 80), timeout=10))
        return opened[-1]

    yield one
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("said", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
def test_client_that_does_not_finish_its_head_is_let_go(
    connect: Callable[[], socket.socket], said: bytes
) -> None:
    connection = connect()
    connection.sendall(said)
    assert connection.recv(1000) == b""


def test_second_request_that_is_not_finished_is_let_go(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
    stream = connection.makefile("rb")
    assert stream.read().startswith(b"HTTP/1.1 200")


def test_body_of_a_request_that_was_answered_is_not_taken_for_ever(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")
    assert connection.makefile("rb").read().startswith(b"HTTP/1.1 404")


def test_body_that_stands_still_is_let_go(served: Callable[..., Api]) -> None:
    api = served(api_patience_s=SLOW_S)
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(
            b"POST /api/v1/monitoring/heartbeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


HEAD = (
    b"POST /api/v1/monitoring/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000000\r\n"
)


def test_body_that_drips_is_let_go(served: Callable[..., Api]) -> None:
    api = served(api_patience_s=SLOW_S)
    url = httpx.URL(api.url)
    over = threading.Event()
    with socket.create_connection((url.host, url.port or 80), timeout=5) as connection:
        head = HEAD.replace(b"monitoring/heartbeat", b"monitoring/completion")
        connection.sendall(head + b"Authorization: Bearer x\r\n\r\n{")

        def drip() -> None:
            while not over.wait(SLOW_S / 4):
                connection.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            answer = connection.recv(4000)
        finally:
            over.set()
            dripping.join()
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", [b"monitoring/heartbeat", b"tokens", b"hosts", b"schedules"])
def test_body_without_a_token_is_not_waited_for(api: Api, path: bytes) -> None:
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=5) as connection:
        connection.sendall(HEAD.replace(b"monitoring/heartbeat", path) + b"\r\n{")
        assert connection.recv(4000).startswith(b"HTTP/1.1 401")


def test_head_that_does_not_end_is_refused(api: Api) -> None:
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 70_000)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_slow_clients_do_not_keep_others_waiting(
    connect: Callable[[], socket.socket], api: Api
) -> None:
    for _ in range(50):
        connect().sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost:")
    assert api.caller().get("/api/v1/jobs").is_success


def test_request_in_work_is_answered_before_the_end(
    context: Context, monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def held(*_: Any, **__: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return []

    monkeypatch.setattr(job_rows, "page", held)
    running = serve_in_thread(context, "127.0.0.1", 0)
    answers: list[int] = []
    headers = dict(api.caller().headers)
    asking = threading.Thread(
        target=lambda: answers.append(
            httpx.get(f"{running.url}/api/v1/jobs", headers=headers).status_code
        )
    )
    asking.start()
    assert entered.wait(20)
    closing = threading.Thread(target=running.close)
    closing.start()
    go_on.set()
    asking.join(20)
    closing.join(20)
    assert answers == [200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/healthz")


def test_taken_port_is_told_in_a_sentence(api: Api) -> None:
    port = httpx.URL(api.url).port
    assert port is not None
    with pytest.raises(Refused, match=f"Nobody can listen at 127.0.0.1:{port}"):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1"])
def test_host_that_is_not_here_is_told_in_a_sentence(host: str) -> None:
    with pytest.raises(Refused, match="Nobody can listen"):
        listen(host, 0)
