"""Whether it lives, whether it can serve, and its figures."""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from peewee import OperationalError

from pipeline.core import executions
from pipeline.core.executions import Deployment
from pipeline.errors import DatabaseUnavailable
from pipeline.store import database
from pipeline.store.blobs import BlobStore
from pipeline.store.database import proxy
from tests.integration.web.conftest import Api, Running


def test_all_that_is_needed_works(api: Api) -> None:
    assert api.bearer(None).get("/healthz").json() == {"status": "ok"}
    ready = api.bearer(None).get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert set(ready.json()["parts"]) == {"database", "storage", "broker"}


def test_storage_that_does_not_work_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    broken = BlobStore(str(tmp_path / "file" / "blobs"))
    monkeypatch.setattr(BlobStore, "check", lambda _: BlobStore.writing(broken, "x").__enter__())
    ready = api.bearer(None).get("/readyz")
    assert ready.status_code == 503
    part = ready.json()["parts"]["storage"]
    assert not part["ok"]
    assert part["detail"] == "The blob storage does not work."


def test_strangers_are_not_told_where_the_database_is(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError('to "10.1.2.3" failed for user "quayline"')

    monkeypatch.setattr(proxy.obj, "execute_sql", away)
    monkeypatch.setattr(database, "_run", away)
    listed = api.bearer("qlt_x").get("/api/v1/jobs")
    ready = api.bearer(None).get("/readyz")
    for answer in (listed, ready):
        assert answer.status_code == 503
        assert "10.1.2.3" not in answer.text
    assert listed.json()["detail"] == "The database does not answer."
    assert ready.json()["parts"]["database"]["detail"] == "The database does not answer."
    told = [r for r in caplog.records if "10.1.2.3" in str(vars(r).get("error"))]
    # And of whoever else asked it meanwhile.
    assert {record.name for record in told} >= {"pipeline.web.problems", "pipeline.web.health"}


def test_what_tokens_are_made_of_is_not_waited_for_by_others(
    api: Api, running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = running()
    entered, go_on = threading.Event(), threading.Event()
    asked = executions.deployment

    def held() -> Deployment:
        entered.set()
        assert go_on.wait(20)
        return asked()

    executions._deployments.clear()
    monkeypatch.setattr(executions, "deployment", held)
    answers: list[int] = []
    client = api.bearer(told.token)
    body = {"execution_id": str(told.id), "status": "running"}
    beating = threading.Thread(
        target=lambda: answers.append(
            client.post("/api/v1/monitoring/heartbeat", json=body).status_code
        )
    )
    beating.start()
    assert entered.wait(20)
    try:
        assert httpx.get(f"{api.url}/healthz", timeout=5).is_success
    finally:
        go_on.set()
        beating.join(20)
    assert answers == [200]


def test_server_starts_while_the_database_is_away(
    served: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Deployment:
        raise DatabaseUnavailable("The database does not answer: away")

    monkeypatch.setattr(executions, "deployment", away)
    assert served().bearer(None).get("/healthz").is_success


def test_what_tokens_are_made_of_is_known_from_the_start(served: Callable[..., Api]) -> None:
    executions._deployments.clear()
    served()
    assert executions.is_deployment_known()


def test_figures_count_routes_and_never_ids(api: Api, running: Callable[..., Running]) -> None:
    told = running()
    client = api.caller()
    client.get(f"/api/v1/jobs/{told.job_id}")
    client.get("/nope/whatever")
    body = {"execution_id": str(told.id), "status": "running"}
    path = f"/t/{told.token}/api/v1/monitoring/heartbeat"
    api.bearer(None).post(path, json=body)
    answer = api.bearer(None).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'quayline_http_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="200"} 1.0',
        'quayline_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'quayline_heartbeats_total{outcome="noted"} 1.0',
        "quayline_heartbeat_group_size_count 1.0",
    ):
        assert line in lines
    assert any(line.startswith("process_cpu_seconds_total") for line in lines)
    for secret in (str(told.job_id), str(told.id), told.token, "whatever"):
        assert secret not in answer.text


def test_figures_of_two_applications_do_not_mix(served: Callable[..., Api]) -> None:
    first, second = served(), served()
    first.caller().get("/api/v1/jobs")
    assert 'route="/api/v1/jobs"' in first.bearer(None).get("/metrics").text
    assert 'route="/api/v1/jobs"' not in second.bearer(None).get("/metrics").text
