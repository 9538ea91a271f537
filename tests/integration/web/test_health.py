"""Whether it lives, whether it can serve, and its figures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.store.blobs import BlobStore
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
    assert part["detail"].startswith("The blob storage does not work")


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
