"""The images of ``deploy/`` and its compose file, whole: one archive linted through all of it."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import Client
from pipeline.settings import Settings
from tests.support.engines import deployed_image, docker_client
from tests.support.stack import Stack, running_stack
from tests.support.waiting import eventually

#: Cold, the images are made first.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SHOP = Path(__file__).parents[1] / "samples" / "shop"
SERVERS = ("postgres", "rabbitmq")
OURS = ("worker-lint", "worker-light", "scheduler", "api")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, once its API says that all it needs works."""
    with running_stack(tmp_path_factory.mktemp("stack"), (*SERVERS, *OURS)) as started:
        eventually(lambda: _is_ready(started), within_s=150, what="the API is ready", every_s=0.5)
        yield started


def _is_ready(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.api_url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


def shop() -> bytes:
    """Return the sample shop as a ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in sorted(SHOP.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(SHOP))
    return out.getvalue()


def test_archive_is_linted_as_here_and_its_report_fetched(stack: Stack, tmp_path: Path) -> None:
    said = stack.execute(
        "api", "quayline", "token", "create", "--role", "submitter", "--owner", "ann"
    )
    token = said.split()[-1]
    request = {"kind": "sql_lint", "parameters": {"dialect": "postgres"}}
    with httpx.Client(base_url=stack.api_url, timeout=30) as http:
        assert http.get("/api/v1/jobs").status_code == 401
        http.headers["Authorization"] = f"Bearer {token}"
        files: dict[str, Any] = {
            "request": (None, json.dumps(request)),
            "file": ("shop.zip", shop()),
        }
        job = http.post("/api/v1/jobs", files=files).raise_for_status().json()
        path = f"/api/v1/jobs/{job['id']}"

        def is_reported() -> dict[str, Any]:
            told: dict[str, Any] = http.get(path).raise_for_status().json()
            return told if told["result"] else {}

        told = eventually(is_reported, within_s=150, what="the job has its result", every_s=0.2)
        report = http.get(f"{path}/reports/sarif").raise_for_status().json()
    here = _violations_here(tmp_path)
    there = sorted(
        (each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], each["ruleId"])
        for each in report["runs"][0]["results"]
    )
    assert told["state"] == here["state"]
    assert there == here["violations"]
    assert len(there) > 50


def _violations_here(folder: Path) -> dict[str, Any]:
    """Return what the embedded service finds in the same archive."""
    source = folder / "shop.zip"
    source.write_bytes(shop())
    with Client(Settings(state_dir=folder / "state")) as client:
        job = client.lint(source, dialect="postgres").wait(60)
        report = json.loads(job.report("sarif"))
        return {
            "state": job.status,
            "violations": sorted(
                (
                    each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
                    each["ruleId"],
                )
                for each in report["runs"][0]["results"]
            ),
        }


@pytest.mark.parametrize("service", OURS)
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
    assert not any("docker.sock" in str(mount) for mount in told["Mounts"])


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
