"""The images of ``deploy/`` and its compose file, whole: an archive is linted through all of it, a
container runs on this machine's Docker engine, and Prometheus reads what each process did."""

import io
import json
import re
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.adapters.engines.model import DEPLOYMENT_LABEL
from tests.support import shop
from tests.support.engines import base_image, deployed_image, docker_client, remove_all
from tests.support.prometheus import DEPLOY, Asked
from tests.support.stack import Stack, running_stack
from tests.support.waiting import eventually

#: Cold, the images are made first.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

RULES = DEPLOY / "rules" / "quayline.yml"
SERVERS = ("postgres", "rabbitmq", "prometheus")
OURS = ("worker-lint", "worker-light", "worker-containers", "scheduler", "api", "api-containers")
SETTINGS = "QUAYLINE_CONTAINER_IMAGES=quayline-test-*\n"
#: Job and port under which Prometheus reads each.
SCRAPED = {
    **{each: ("quayline-worker", 9191) for each in OURS if each.startswith("worker-")},
    "scheduler": ("quayline-scheduler", 9192),
    **{each: ("quayline-api", 8000) for each in OURS if each.startswith("api")},
}
#: What each has counted once an archive was linted and a container has run.
FIGURES = {
    "worker-lint": "sum(quayline_lint_files_total{SELF}) > 0",
    "worker-light": 'quayline_queue_wait_seconds_count{SELF,queue="monitoring"} > 0',
    "worker-containers": "sum(quayline_detached_run_seconds_count{SELF}) > 0",
    "scheduler": 'sum(quayline_jobs{SELF,kind="container",state="succeeded"}) > 0',
    "api": "sum(quayline_http_requests_total{SELF}) > 0",
    "api-containers": "sum(quayline_heartbeats_total{SELF}) > 0",
}
#: A program as the guide for submitters describes it.
PROGRAM = """
import os, requests
api, task = os.environ['API_BASE_URL'] + '/api/v1/monitoring', os.environ['TASK_EXECUTION_ID']
def say(where, **told):
    body = {'execution_id': task, 'container_name': os.environ['HOSTNAME'], **told}
    requests.post(f'{api}/{where}', json=body, timeout=10).raise_for_status()
say('heartbeat', status='running', progress={'stage': 'half'})
print('half is done', flush=True)
open('/app/output/rows.csv', 'w').write('7')
say('completion', success=True, result_data={'rows': 7}, error_message=None)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, once its API says that all it needs works; no container of its jobs is left."""
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder, (*SERVERS, *OURS), SETTINGS) as started:
        eventually(lambda: _is_ready(started), within_s=150, what="the API is ready", every_s=0.5)
        deployment = started.deployment()
        yield started
    remove_all(deployment)


def _is_ready(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.api_url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx.Client]:
    """A submitter's client of the stack's API."""
    said = stack.execute(
        "api", "quayline", "token", "create", "--role", "submitter", "--owner", "ann"
    )
    headers = {"Authorization": f"Bearer {said.split()[-1]}"}
    with httpx.Client(base_url=stack.api_url, headers=headers, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def linted(api: httpx.Client) -> dict[str, Any]:
    """The job of the sample shop, ended."""
    request = {"kind": "sql_lint", "parameters": {"dialect": "postgres"}}
    files: dict[str, Any] = {
        "request": (None, json.dumps(request)),
        "file": ("shop.zip", shop.archive()),
    }
    return _ended(api, api.post("/api/v1/jobs", files=files))


@pytest.fixture(scope="module")
def ran(api: httpx.Client) -> dict[str, Any]:
    """The job of a program in a container, ended."""
    parameters = {
        "task_name": "rows",
        "task_type": "custom",
        "docker_image": base_image(),
        "command": ["python3", "-c", PROGRAM],
    }
    request = {"kind": "container", "parameters": parameters}
    return _ended(api, api.post("/api/v1/jobs", json=request))


def _ended(api: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """Return what the API tells of the submitted job, once it has a result."""
    path = f"/api/v1/jobs/{answer.raise_for_status().json()['id']}"

    def is_reported() -> dict[str, Any]:
        told: dict[str, Any] = api.get(path).raise_for_status().json()
        return told if told["result"] else {}

    return eventually(is_reported, within_s=150, what="the job has its result", every_s=0.2)


def test_who_shows_no_token_is_refused(stack: Stack) -> None:
    assert httpx.get(f"{stack.api_url}/api/v1/jobs").status_code == 401


def test_archive_is_linted_as_here_and_its_report_fetched(
    api: httpx.Client, linted: dict[str, Any], tmp_path: Path
) -> None:
    report = api.get(f"/api/v1/jobs/{linted['id']}/reports/sarif").raise_for_status().json()
    there = shop.violations(report)
    assert (linted["state"], there) == shop.linted_here(tmp_path)
    assert len(there) > 50


def test_container_on_this_engine_calls_back_and_leaves_nothing(
    stack: Stack, api: httpx.Client, ran: dict[str, Any]
) -> None:
    [told] = ran["result"]["executions"]
    assert (told["state"], told["success"], told["result"]) == ("succeeded", True, {"rows": 7})
    beat = api.get(f"/api/v1/monitoring/heartbeat/{told['id']}").raise_for_status().json()
    assert beat["progress"] == {"stage": "half"}
    path = f"/api/v1/jobs/{ran['id']}"
    log = api.get(f"{path}/logs").raise_for_status().json()["items"]
    assert [each["text"] for each in log] == ["half is done\n"]
    with tarfile.open(fileobj=io.BytesIO(api.get(f"{path}/output").content)) as output:
        assert output.getnames() == ["rows.csv"]
    own = {"label": f"{DEPLOYMENT_LABEL}={stack.deployment()}"}
    with docker_client() as docker:

        def is_gone() -> bool:
            there = docker.containers(all=True, filters=own)
            return not there and not docker.volumes(filters=own)["Volumes"]

        assert docker.networks(filters=own), "no container of the deployment ran here"
        eventually(is_gone, within_s=30, what="its container and its volumes are removed")


def test_prometheus_reads_every_process_and_no_other(stack: Stack) -> None:
    wanted = {
        (job, f"{stack.address(service)}:{port}", "up") for service, (job, port) in SCRAPED.items()
    }

    def targets() -> set[tuple[str, ...]]:
        active = Asked(stack.prometheus_url).ask("targets")["activeTargets"]
        return {
            (*(each["labels"][name] for name in ("job", "instance")), each["health"])
            for each in active
        }

    eventually(lambda: targets() == wanted, within_s=60, what="each is up", every_s=0.5)


@pytest.mark.parametrize("service", OURS)
@pytest.mark.usefixtures("linted", "ran")
def test_prometheus_answers_what_each_process_did(stack: Stack, service: str) -> None:
    _, port = SCRAPED[service]
    own = f'instance="{stack.address(service)}:{port}"'
    query = FIGURES[service].replace("SELF", own)
    asked = Asked(stack.prometheus_url)
    eventually(lambda: asked.query(query), within_s=60, what=query, every_s=0.5)


def test_prometheus_has_every_alert(stack: Stack) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = Asked(stack.prometheus_url).ask("rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in found) else found

    found = eventually(rules, within_s=60, what="each rule is evaluated", every_s=0.5)
    assert {rule["name"] for rule in found} == set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert {rule["health"] for rule in found} == {"ok"}


@pytest.mark.parametrize("service", [*OURS, *SERVERS])
def test_health_check_of_each_image_passes_where_it_runs(stack: Stack, service: str) -> None:
    kind, *command = stack.container(service)["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    stack.execute(service, *command)


@pytest.mark.parametrize("service", OURS)
def test_each_process_has_the_rights_it_needs_and_no_others(stack: Stack, service: str) -> None:
    told = stack.container(service)
    host = told["HostConfig"]
    assert told["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert ("docker.sock" in str(told["Mounts"])) == (service == "worker-containers")


def test_workers_end_by_themselves_when_they_are_asked_to(stack: Stack) -> None:
    began = time.monotonic()
    stack.compose("stop", "worker-light", "scheduler")
    assert time.monotonic() - began < 25
    for service in ("worker-light", "scheduler"):
        assert stack.container(service)["State"]["ExitCode"] == 0
    stack.compose("start", "worker-light", "scheduler")


def test_no_service_s_secret_is_in_the_file_and_each_is_asked_for(stack: Stack) -> None:
    given = dict(line.split("=", 1) for line in stack.variables.read_text().splitlines())
    told = stack.config()["services"]
    assert given["POSTGRES_PASSWORD"] in told["api"]["environment"]["QUAYLINE_DATABASE_URL"]
    stack.variables.write_text("")
    try:
        with pytest.raises(AssertionError, match=r"is missing in deploy/\.env"):
            stack.config()
    finally:
        stack.variables.write_text("".join(f"{k}={v}\n" for k, v in given.items()))


def test_collectors_image_reads_its_document_as_a_user_without_rights() -> None:
    with docker_client() as client:
        made = client.create_container(
            deployed_image("collect"),
            environment={"TASK_EXECUTION_ID": str(uuid.uuid4())},
            network_disabled=True,
        )
        try:
            client.start(made)
            code = client.wait(made, timeout=60)["StatusCode"]
            said = client.logs(made).decode()
            user = client.inspect_container(made)["Config"]["User"]
        finally:
            client.remove_container(made, force=True, v=True)
    # Without a document: refused in a sentence (exit code 2), no traceback.
    assert (code, user) == (2, "65532:65532"), said
    assert "/app/config.json" in said
    assert "Traceback" not in said
