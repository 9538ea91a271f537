"""Each request to the API becomes a row of the access log, told as it was and without secrets."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pipeline.core.access_log import Access
from pipeline.core.context import Context
from pipeline.web import access
from tests.contract.test_access_log import listed
from tests.integration.web.conftest import Api, Running
from tests.support.waiting import eventually

LOG = "/api/v1/access-log"
SOON = {"access_log_s": 0.05}


@pytest.fixture
def quick(served: Callable[..., Api]) -> Api:
    """A server that writes its log at once."""
    return served(**SOON)


def noted(number: int) -> list[Access]:
    """Return the log, the oldest first, once it has so many rows."""
    eventually(lambda: len(listed()) >= number, within_s=10, what="the requests are noted")
    found = listed()
    assert len(found) == number
    return found[::-1]


def test_each_request_is_a_row(quick: Api) -> None:
    client = quick.caller("submitter", "ann")
    job_id = str(uuid.UUID(int=7))
    asked = [
        client.get("/api/v1/jobs", params={"token": "secret"}, headers={"X-Request-ID": "mine"}),
        client.get(f"/api/v1/jobs/{job_id}", headers={b"User-Agent": b"curl\x85/8"}),
        client.post("/api/v1/jobs", json={}),
        client.get(LOG),
        quick.bearer(None).get("/api/v1/jobs"),
        quick.bearer("qlt_" + "x" * 40).get("/nowhere/qlt_hidden"),
    ]
    rows = noted(6)
    assert [row.status_code for row in rows] == [each.status_code for each in asked]
    assert [row.method for row in rows] == ["GET", "GET", "POST", "GET", "GET", "GET"]
    assert [row.user_id for row in rows] == [*["ann"] * 4, None, None]
    assert [row.resource_type for row in rows] == [*["job"] * 3, "access_log", "job", None]
    assert rows[1].resource_id == job_id
    assert rows[1].route == "/api/v1/jobs/{job_id}"
    assert (rows[0].path, rows[0].request_id) == ("/api/v1/jobs", "mine")
    assert rows[1].user_agent == "curl\ufffd/8"
    assert (rows[5].path, rows[5].route) == ("/nowhere/***", "unmatched")
    assert {row.ip_address for row in rows} == {"127.0.0.1"}
    assert all(0 < row.response_time_ms < 20_000 for row in rows)
    assert all("secret" not in str(row) for row in rows)


def test_submission_is_about_the_job_that_it_makes(quick: Api) -> None:
    answer = quick.caller().post("/api/v1/jobs", json={"kind": "trivial", "parameters": {}})
    assert answer.status_code < 300, answer.text
    [row] = noted(1)
    assert (row.resource_type, row.resource_id) == ("job", answer.json()["id"])


def test_probes_and_heartbeats_are_left_out_and_what_else_containers_say_is_not(
    quick: Api, running: Callable[..., Running]
) -> None:
    told = running()
    client = quick.bearer(None)
    for probe in ("/healthz", "/readyz", "/metrics"):
        client.get(probe)
    beat(client, told)
    status = f"/t/{told.token}/api/v1/task/execution/{told.id}/status"
    assert client.get(status).status_code == 200
    [row] = noted(1)
    assert (row.resource_type, row.resource_id) == ("execution", str(told.id))
    assert told.token not in str(row)
    assert row.path == f"/t/***/api/v1/task/execution/{told.id}/status"


def test_heartbeats_are_noted_where_all_is_asked_for(
    served: Callable[..., Api], running: Callable[..., Running]
) -> None:
    api, told = served(**SOON, access_log="all"), running()
    beat(api.bearer(None), told)
    [row] = noted(1)
    assert row.route == "/t/{token}/api/v1/monitoring/heartbeat"
    assert told.token not in str(row)


def beat(client: httpx.Client, told: Running) -> None:
    body: dict[str, Any] = {"execution_id": str(told.id), "status": "running"}
    body |= {"container_name": f"task-{told.id}", "timestamp": 1, "progress": {}}
    answer = client.post(f"/t/{told.token}/api/v1/monitoring/heartbeat", json=body)
    assert answer.status_code == 200, answer.text


def test_nothing_is_noted_where_it_is_off(served: Callable[..., Api], context: Context) -> None:
    served(**SOON, access_log="off").caller().get("/api/v1/jobs")
    on = served(**SOON)
    on.caller().get("/api/v1/kinds")
    assert [row.path for row in noted(1)] == ["/api/v1/kinds"]


def test_what_a_trusted_proxy_says_is_believed_and_nobody_else(
    served: Callable[..., Api],
) -> None:
    headers = {"X-Forwarded-For": "1.1.1.1, 198.51.100.1"}
    served(**SOON).caller().get("/api/v1/jobs", headers=headers)
    assert noted(1)[0].ip_address == "127.0.0.1"
    behind = served(**SOON, api_trusted_proxies="127.0.0.0/8")
    behind.caller().get("/api/v1/jobs", headers=headers)
    assert noted(2)[1].ip_address == "198.51.100.1"


def test_operator_leafs_through_the_log(quick: Api) -> None:
    client = quick.caller("operator")
    for number in range(5):
        client.get("/api/v1/jobs", headers={"X-Request-ID": f"r{number}"})
    noted(5)
    wanted: dict[str, str | int] = {"path_prefix": "/api/v1/jobs", "limit": 3}
    first = client.get(LOG, params=wanted).json()
    rest = client.get(LOG, params={**wanted, "cursor": first["next_cursor"]}).json()
    told = [each["request_id"] for each in first["items"] + rest["items"]]
    assert told == ["r4", "r3", "r2", "r1", "r0"]
    assert rest["next_cursor"] is None
    past = client.get(LOG, params={"to": "2026-01-01T00:00:00Z"}).json()
    assert past["items"] == []
    assert client.get(LOG, params={"status_class": 4}).json()["items"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "2026-01-01"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:59:59-14:00"},
        {"cursor": "bGV0dGVyczox"},
        {"user_id": "\0"},
    ],
)
def test_span_or_cursor_that_is_none_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.caller("operator").get(LOG, params=params).status_code in (400, 409, 422)


def test_it_is_for_operators(api: Api) -> None:
    assert api.caller("submitter").get(LOG).status_code == 403


def test_last_requests_are_noted_when_the_server_ends(served: Callable[..., Api]) -> None:
    api = served(access_log_s=3000.0)
    for _ in range(3):
        api.caller().get("/api/v1/jobs")
    assert listed() == []
    api.stop()
    assert len(listed()) == 3


def test_what_is_not_taken_waits_within_its_bound_and_the_oldest_go(
    served: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MOST_WAITING", 3)
    api = served(access_log_s=3000.0)
    client = api.caller()
    for number in range(5):
        client.get("/api/v1/jobs", headers={"X-Request-ID": f"r{number}"})
    api.stop()
    assert [row.request_id for row in noted(3)] == ["r2", "r3", "r4"]
