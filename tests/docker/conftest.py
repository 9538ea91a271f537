"""A deployment whose workers run containers on the real Docker engine; each is inspected."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import httpx
import pytest

from pipeline import Client, Job
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL
from pipeline.core import executions
from pipeline.settings import Settings
from tests.support.engines import (
    base_image,
    collect_image,
    docker_client,
    docker_gateway,
    remove_all,
)
from tests.support.faults import QUEUES
from tests.support.servers import Rabbit
from tests.support.services import own_database
from tests.support.waiting import eventually
from tests.support.workers import Process, Worker, environment, running, scheduler

#: An image on the allow-list, whatever its tag.
IMAGES = "quayline-test-*"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, rabbit_node: Rabbit) -> Iterator[Settings]:
    """Settings of a deployment that looks at its containers twice a second."""
    rabbit_node.delete_queues(QUEUES)
    gateway = docker_gateway()
    with socket.create_server((gateway, 0)) as free:
        port = free.getsockname()[1]
    with own_database() as url:
        yield Settings(
            state_dir=tmp_path_factory.mktemp("state"),
            database_url=url,
            broker_url=rabbit_node.url,
            container_images=IMAGES,
            collect_image=collect_image(),
            docker_slots=16,
            container_output_bytes=32 << 20,
            api_url=f"http://{gateway}:{port}",
            monitor_s=0.5,
            sweep_s=0.5,
            backoff_s=0.2,
            lease_s=6,
            max_attempts=5,
        )


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    """A client of the deployment; nothing of its containers is left afterwards."""
    with Client(settings) as opened, Inspector(executions.deployment().id) as inspector:
        yield opened
        deployment = executions.deployment().id
        try:
            inspector.check()
        finally:
            remove_all(deployment)


@pytest.fixture(scope="module")
def workers(
    client: Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Worker, Process]]:
    """Its worker and its scheduler."""
    logs, env = tmp_path_factory.mktemp("logs"), environment(settings)
    worker, clock = Worker("worker", env, logs, threads=8), scheduler(env, logs)
    with running(worker, clock):
        yield worker, clock


@pytest.fixture(scope="module")
def api(
    client: Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """Its HTTP side, where containers reach it."""
    host, _, port = settings.api_url.removeprefix("http://").partition(":")
    command = [sys.executable, "-m", "pipeline.cli", "api", "--host", host, "--port", port]
    process = Process("api", command, environment(settings), tmp_path_factory.mktemp("api"))
    with running(process):
        is_up = lambda: httpx.get(f"{settings.api_url}/healthz").is_success  # noqa: E731
        eventually(lambda: process.said("Quayline answers"), within_s=30, what="the API listens")
        eventually(is_up, within_s=10, what="the API answers")
        yield process


class Inspector:
    """Inspects every container of the deployment that is made, while it is watched."""

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment
        self._events: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: list[dict[str, Any]] = []

    def _run(self) -> None:
        with docker_client() as client:
            # As they are made: one that ran for a moment may be gone when its start is heard of.
            for event in self._events:
                # On a busy machine it may be, even so.
                if event["status"] == "create":
                    with suppress(docker.errors.NotFound):
                        self.seen.append(client.inspect_container(event["id"]))

    def __enter__(self) -> "Inspector":
        label = f"{DEPLOYMENT_LABEL}={self._deployment}"
        self._client = docker_client().__enter__()
        self._events = self._client.events(
            decode=True, filters={"type": "container", "event": "create", "label": label}
        )
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._events.close()
        self._client.close()
        self._thread.join(10)

    def check(self) -> None:
        """Every one had every safe default."""
        assert self.seen, "no container was made"
        for told in self.seen:
            assert_safe(told)


def assert_safe(told: dict[str, Any]) -> None:
    """The container has the safe defaults of the design."""
    host = told["HostConfig"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in str(host["SecurityOpt"])
    assert "unconfined" not in str(host["SecurityOpt"])
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["AutoRemove"] is False
    assert host["Binds"] in (None, [])
    assert not host["Devices"]
    assert host["NetworkMode"] == "none" or host["NetworkMode"].startswith("quayline-")
    assert "host" not in (host["PidMode"], host["IpcMode"], host["UTSMode"], host["UsernsMode"])
    assert host["LogConfig"]["Type"] in ("local", "json-file")
    assert "max-size" in host["LogConfig"]["Config"]
    assert told["Config"]["User"] == "65532:65532"
    assert "/tmp" in host["Tmpfs"]
    assert {mount["Type"] for mount in told["Mounts"]} <= {"volume"}
    assert "docker.sock" not in str(told)


def custom(*command: str, **told: Any) -> dict[str, Any]:
    """Return the document of a task that runs the command in the base image."""
    return {
        "task_name": " ".join(" ".join(command).split())[:100],
        "task_type": "custom",
        "docker_image": base_image(),
        "command": list(command),
        **told,
    }


def python(code: str, **told: Any) -> dict[str, Any]:
    """Return the document of a task that runs the Python code in the base image."""
    return custom("python3", "-c", code, **told)


def execution(job: Job) -> executions.Execution:
    """Return the job's one execution."""
    [found] = job.executions()
    return found


def is_up(job: Job) -> Callable[[], bool]:
    """Return the question whether the job's program has said that it is up."""
    return lambda: b"up" in logs_of(job)


def progress_of(job: Job) -> dict[str, Any]:
    """Return what the job's container has told of how far it is; {} until it has."""
    return next((told.progress or {} for told in job.executions()), {})


def summary(job: Job) -> dict[str, Any]:
    """Return what the ended job's result says of its container."""
    [told] = job.info()["result"]["executions"]
    return dict(told)


def containers(client: Client, **filters: Any) -> list[dict[str, Any]]:
    """Return the deployment's containers on the Docker host."""
    label = f"{DEPLOYMENT_LABEL}={executions.deployment().id}"
    with docker_client() as asked:
        return list(asked.containers(all=True, filters={"label": [label], **filters}))


def logs_of(job: Job, stream: str = "stdout") -> bytes:
    """Return all that the job's container wrote to a stream."""
    return b"".join(entry.data for entry in job.logs() if entry.stream == stream)
