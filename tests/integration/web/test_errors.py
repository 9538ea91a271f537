"""Whatever goes wrong is a problem in JSON: no traceback, no page, no echo of what came."""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pipeline.core import jobs
from pipeline.errors import DatabaseUnavailable, Permanent, Transient
from pipeline.store import database
from pipeline.web import addresses, job_rows
from tests.integration.web.conftest import Api, Running
from tests.support import factories as make
from tests.support.waiting import eventually

JOBS = "/api/v1/jobs"


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Return the document of a problem, which says the same everywhere."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["status"], told["reason"]) == (status, reason)
    assert told["type"] == f"urn:quayline:problem:{reason}"
    assert told["title"]
    assert told["detail"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return told


@pytest.mark.parametrize("path", ["/", "/nope", "/api/v1", "/api/v1/jobs/", "/docs", "/t/x"])
def test_address_that_is_none_is_a_problem(api: Api, path: str) -> None:
    problem(api.caller().get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", JOBS), ("DELETE", "/healthz"), ("TRACE", JOBS)]
)
def test_method_that_is_none_is_a_problem_that_names_the_others(
    api: Api, method: str, path: str
) -> None:
    answer = api.caller().request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_each_mistake_is_named_without_repeating_it(api: Api) -> None:
    told = problem(
        api.caller().post(JOBS, json={"kind": "X<script>", "priority": "hunter2", "y\n": 1}),
        *(422, "bad_request"),
    )
    assert {each["place"] for each in told["errors"]} == {"body.kind", "body.priority", "body.y\\n"}
    assert "hunter2" not in str(told)
    assert "<script>" not in str(told)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (DatabaseUnavailable("The database does not answer: away"), 503, "unavailable"),
        (Transient("Come again."), 503, "unavailable"),
        (Permanent("It is broken."), 409, "error"),
        (ZeroDivisionError("secret /path/of/ours"), 500, "error"),
        (RecursionError(), 500, "error"),
    ],
)
def test_what_breaks_inside_is_a_problem(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    reason: str,
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(job_rows, "page", broken)
    answer = api.caller().get(JOBS)
    problem(answer, status, reason)
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)
    logged = [record for record in caplog.records if record.exc_info]
    assert bool(logged) is (status == 500)
    # The next one is answered as ever.
    monkeypatch.undo()
    assert api.caller().get(JOBS).is_success


def test_request_has_an_id_that_a_proxy_may_give(api: Api) -> None:
    client = api.caller()
    ids = {client.get(JOBS).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    given = client.get(JOBS, headers={"X-Request-ID": "proxy-1.a_b"})
    assert given.headers["x-request-id"] == "proxy-1.a_b"
    for bad in (b"a b", b"x" * 65, b"\xff", b"<x>"):
        answer = client.get(JOBS, headers={b"X-Request-ID": bad})
        assert answer.headers["x-request-id"].encode() != bad


def test_every_answer_has_the_security_headers(api: Api) -> None:
    for answer in (api.caller().get(JOBS), api.bearer(None).get("/nope"), api.caller().put(JOBS)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_token_in_the_path_is_not_logged(
    api: Api, running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    told = running()
    caplog.set_level(logging.DEBUG)
    body = {"execution_id": str(told.id), "status": "running"}
    path = f"/t/{told.token}/api/v1/monitoring/heartbeat"
    assert api.bearer(None).post(path, json=body).is_success
    _, secret = told.token.split(".")

    def lines() -> list[str]:
        ours = [r for r in caplog.records if r.name.startswith(("pipeline", "uvicorn", "fastapi"))]
        return [f"{record.getMessage()} {vars(record)}" for record in ours]

    shown = "/t/***/api/v1/monitoring/heartbeat"
    eventually(lambda: any(shown in line for line in lines()), within_s=10)
    assert [line for line in lines() if secret in line] == []


@pytest.mark.parametrize("form", ["//t/{}/x", "/ql/t/{}/x", "/api/v1/{}", "/t/{}"])
def test_token_in_an_address_that_is_none_is_not_shown(form: str) -> None:
    for token in (f"12.{'0a' * 20}", "qlt_secret-of_ours"):
        assert token not in addresses.shown(form.format(token))
        assert "***" in addresses.shown(form.format(token))


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        ("https://a.example, https://b.example", "https://b.example", True),
        ("https://a.example", "https://evil.example", False),
        ("*", "https://any.example", True),
        ("", "https://a.example", False),
    ],
)
def test_browsers_may_call_from_the_origins_of_the_setting(
    served: Callable[..., Api], origins: str, origin: str, is_allowed: bool
) -> None:
    api = served(api_cors_origins=origins)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    before = api.bearer(None).options(JOBS, headers=asked)
    then = api.caller().get(JOBS, headers={"Origin": origin})
    for answer in (before, then):
        told = answer.headers.get("access-control-allow-origin")
        assert (told in {origin, "*"}) is is_allowed
        assert "x-request-id" in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-credentials" not in then.headers


def test_browsers_are_told_of_a_failure(
    served: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_rows, "page", lambda *_, **__: 1 / 0)
    answer = (
        served(api_cors_origins="*").caller().get(JOBS, headers={"Origin": "https://a.example"})
    )
    problem(answer, 500, "error")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_one_request_too_many_is_told_to_come_again(
    served: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    listed = job_rows.page

    def held(*told: Any, **more: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return listed(*told, **more)

    monkeypatch.setattr(job_rows, "page", held)
    api = served(api_concurrency=1, api_cors_origins="https://a.example")
    client = api.caller()
    first = threading.Thread(target=client.get, args=(JOBS,))
    first.start()
    assert entered.wait(20)
    answer = api.bearer(None).get("/readyz", headers={"Origin": "https://a.example"})
    go_on.set()
    first.join()
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert api.bearer(None).get("/healthz").is_success


def test_process_lives_however_much_it_has_to_do(
    served: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def held(*_: Any, **__: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return []

    monkeypatch.setattr(job_rows, "page", held)
    api = served(api_concurrency=1)
    first = threading.Thread(target=api.caller().get, args=(JOBS,))
    first.start()
    assert entered.wait(20)
    answer = api.bearer(None).get("/healthz")
    go_on.set()
    first.join()
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize(
    "said", [b"nonsense\r\n\r\n", b"GET / HTTP/x\r\n\r\n", b"\x16\x03\x01\x00"]
)
def test_what_is_no_http_is_a_problem_too(api: Api, said: bytes) -> None:
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(said + b"\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


def test_database_that_is_away_is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api.caller()
    job_id = make.pending_job(owner="ann")
    assert client.get(f"{JOBS}/{job_id}").is_success

    def away(*_: object, **__: object) -> Any:
        raise database.AWAY[0]("the server is away")

    monkeypatch.setattr(type(database.proxy.obj), "connect", away)
    answer = client.get(f"{JOBS}/{job_id}")
    problem(answer, 503, "unavailable")
    ready = api.bearer(None).get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["status"] == "unavailable"
    assert not ready.json()["parts"]["database"]["ok"]
    assert ready.json()["parts"]["storage"]["ok"]
    assert api.bearer(None).get("/healthz").is_success
    monkeypatch.undo()
    assert client.get(f"{JOBS}/{job_id}").is_success
    assert jobs.get(job_id).state == "pending"
