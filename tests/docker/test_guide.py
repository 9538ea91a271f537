"""The guide's own client and service, unchanged in a container, and collectors beside it."""

import io
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from pipeline import Client, Job
from pipeline.core import api_tokens, executions
from pipeline.settings import Settings
from tests.docker.conftest import execution, is_up, logs_of, progress_of, python, summary
from tests.support.engines import docker_client, guide_image
from tests.support.waiting import eventually
from tests.support.workers import Process

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("workers", "api"),
]

SERVICE = {
    "task_name": "示例",
    "task_type": "crawler",
    "docker_image": "",
    "crawler_config": {"target_urls": ["http://example.com/"]},
}


@pytest.fixture(scope="module")
def service(client: Client, api: Process, workers: object) -> Job:
    """The guide's service, begun before the other tests: it takes 50 s."""
    return client.run({**SERVICE, "docker_image": guide_image(), "heartbeat_timeout_s": 20})


@pytest.fixture
def site(settings: Settings) -> Iterator[str]:
    """The address of a small site that containers reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.removeprefix("/page/")
            is_page = number.isdigit() and int(number) < 5
            self.send_response(200 if is_page else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            if is_page:
                link = f'<a href="/page/{int(number) + 1}">next</a>'
                self.wfile.write(f'<h1 class="title">第 {number}</h1>{link}'.encode())

        def log_message(self, *told: object) -> None:
            pass

    host = settings.api_url.removeprefix("http://").partition(":")[0]
    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_service_says_how_far_it_is(service: Job, settings: Settings) -> None:
    eventually(
        lambda: progress_of(service).get("current_step", 0) >= 2,
        within_s=60,
        what="two steps are told",
    )
    told = execution(service)
    base = f"{settings.api_url}/t/{executions.token(told.task_id, told.run)}/api/v1"
    beat = httpx.get(f"{base}/monitoring/heartbeat/{told.task_id}").raise_for_status().json()
    status = httpx.get(f"{base}/task/execution/{told.task_id}/status").raise_for_status().json()
    assert (beat["status"], beat["container_name"]) == ("running", f"task-{told.task_id}")
    assert beat["progress"]["total_steps"] == 10
    assert (status["state"], status["progress"]["stage"]) == ("running", "数据处理中")


def test_crawler_of_the_collectors_image(client: Client, site: str) -> None:
    job = client.run(
        {
            "task_name": "crawl",
            "task_type": "crawler",
            "crawler_config": {
                "target_urls": [f"{site}/page/0"],
                "delay": 0,
                "data_fields": {"title": {"css": "h1.title::text"}},
            },
        }
    ).wait(90)
    told = summary(job)
    assert (told["state"], told["success"]) == ("succeeded", True), (told, logs_of(job, "stderr"))
    assert execution(job).completed_at is not None
    assert told["output_files"] >= 2
    assert told["result"]["pages"] == 4


def test_crawler_that_is_killed_goes_on_where_it_was(client: Client, site: str) -> None:
    config = {
        "target_urls": [f"{site}/page/0"],
        **{"delay": 0.5, "follow": {"max_depth": 9}, "data_fields": {"title": "h1"}},
    }
    job = client.run({"task_name": "crawl", "task_type": "crawler", "crawler_config": config})
    eventually(lambda: b"Page 2" in logs_of(job), within_s=60, what="two pages are read")
    with docker_client() as docker:
        docker.kill(execution(job).container, "KILL")
    told = summary(job.wait(90))
    assert (told["state"], told["result"]["pages"], execution(job).run) == ("succeeded", 5, 2)
    assert logs_of(job).count(b"/page/0,") == 1


@pytest.mark.timeout(240)
def test_api_away_for_a_while_loses_no_result(
    client: Client, api: Process, service: Job, request: pytest.FixtureRequest
) -> None:
    """For longer than a container may be silent: nobody could hear it."""
    # The guide's service needs it still.
    service.wait(120)
    away_s = 60.0 if request.config.getoption("--long") else 24.0
    code = (
        "import os,time,requests;"
        "base, task = os.environ['API_BASE_URL'], os.environ['TASK_EXECUTION_ID'];"
        "print('up', flush=True)\n"
        "body = {'execution_id': task, 'container_name': 'x', 'success': True,"
        " 'result_data': {'n': 1}, 'error_message': None}\n"
        "for _ in range(400):\n"
        "    try:\n"
        "        requests.post(base + '/api/v1/monitoring/completion', json=body, timeout=5)"
        ".raise_for_status(); break\n"
        "    except requests.RequestException: time.sleep(0.5)\n"
        "else: exit(1)"
    )
    api.kill()
    job = client.run({**python(code), "heartbeat_timeout_s": 20})
    eventually(is_up(job), within_s=60, what="it runs")
    until = time.monotonic() + away_s
    eventually(lambda: time.monotonic() > until, within_s=away_s + 5, what="the API was away")
    assert job.status == "running"
    api.start()
    told = summary(job.wait(60))
    assert (told["state"], told["success"], told["result"]) == ("succeeded", True, {"n": 1})
    assert execution(job).run == 1


def test_late_word_after_the_end_changes_nothing(client: Client, settings: Settings) -> None:
    job = client.run(python("print(1)")).wait(60)
    told = execution(job)
    base = f"{settings.api_url}/t/{executions.token(told.task_id, told.run)}/api/v1/monitoring"
    body = {"execution_id": str(told.task_id), "container_name": "late"}
    beat = httpx.post(f"{base}/heartbeat", json={**body, "status": "running", "progress": 5})
    done = httpx.post(f"{base}/completion", json={**body, "success": False})
    assert {beat.status_code, done.status_code} <= {200, 409}
    assert execution(job) == told or execution(job).heartbeat_at is None
    assert job.status == "succeeded"


def test_log_and_output_over_http(client: Client, settings: Settings) -> None:
    job = client.run(python("print('one'); print('two'); open('/app/output/x', 'w').write('y')"))
    job.wait(60)
    _, token = api_tokens.create("ann", "operator")
    headers = {"Authorization": f"Bearer {token}"}
    base = f"{settings.api_url}/api/v1/jobs/{job.id}"
    with httpx.Client(headers=headers) as http:
        first = http.get(f"{base}/logs", params={"limit": 1}).raise_for_status().json()
        rest = http.get(f"{base}/logs", params={"since": first["next_since"]}).json()
        output = http.get(f"{base}/output").raise_for_status().content
    assert [each["text"] for each in first["items"] + rest["items"]] == ["one\n", "two\n"]
    assert (first["complete"], rest["complete"]) == (False, True)
    with tarfile.open(fileobj=io.BytesIO(output)) as archive:
        assert archive.getnames() == ["x"]


def test_stopped_service_tells_its_end(client: Client) -> None:
    job = client.run({**SERVICE, "docker_image": guide_image()})
    eventually(lambda: progress_of(job).get("stage"), within_s=60, what="it runs")
    job.cancel()
    assert job.wait(60).status == "cancelled"


def _has_none(docker: Any, named: dict[str, str]) -> bool:
    return not docker.containers(all=True, filters=named)


def test_service_of_the_guide_ends_well(service: Job) -> None:
    service.wait(120)
    told = summary(service)
    ended = (told["state"], told["success"], told["exit_code"])
    assert ended == ("succeeded", True, 0), logs_of(service).decode()
    assert told["result"]["processed_records"] == 1000
    assert "任务完成通知发送成功".encode() in logs_of(service)
    named = {"name": execution(service).container}
    with docker_client() as docker:
        # It goes after its job's end.
        gone = partial(_has_none, docker, named)
        eventually(gone, within_s=30, what="the container is removed")
