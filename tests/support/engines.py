"""The Docker engine of the tests, its images, and specifications of containers."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import docker
import pytest

from pipeline import clock
from pipeline.adapters.engines.docker_daemon import default_url
from pipeline.adapters.engines.docker_engine import DockerEngine
from pipeline.adapters.engines.docker_finding import harmless
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL, Spec
from tests.support.images import base, deployed, guide, prometheus, python, servers
from tests.support.waiting import eventually

FOLDER = Path(__file__).resolve().parents[2] / "build" / "images"
MIB = 1024 * 1024
BUILD_TIMEOUT_S = 300


@cache
def base_image() -> str:
    """Return the name of an image with Debian's Python and requests; it is made when missing."""
    with _building() as client:
        _have(client, base.name(), base.build)
    return base.name()


def collect_image() -> str:
    """Return the name of the collectors' image, with the code as it is in this tree."""
    return deployed_image("collect")


@cache
def guide_image() -> str:
    """Return the name of an image with the client and the service of the guide."""
    with _building() as client:
        _have(client, base.name(), base.build)
        _have(client, guide.name(), guide.build)
    return guide.name()


@cache
def deployed_image(image: str) -> str:
    """Return the name of an image of ``deploy/``: worker, scheduler, api or collect."""
    name = deployed.name(image)
    with _building() as client:
        _have(client, python.name(), python.build)
        _have(client, name, partial(deployed.build, image=image))
    return name


@cache
def server_image(server: str) -> str:
    """Return the name of an image that stands for that of ``postgres`` or ``rabbitmq``."""
    name = servers.name(server)
    with _building() as client:
        _have(client, servers.base_name(), servers.build_base)
        _have(client, name, partial(servers.build, server=server))
    return name


@cache
def prometheus_image() -> str:
    """Return the name of an image that stands for that of Prometheus."""
    with _building() as client:
        _have(client, prometheus.base_name(), prometheus.build_base)
        _have(client, prometheus.name(), prometheus.build)
    return prometheus.name()


def docker_socket() -> str:
    """Return the path of the socket of the Docker engine."""
    return default_url().removeprefix("unix://")


def docker_gateway() -> str:
    """Return the address on which this machine's containers reach it."""
    return str(DockerEngine("", deployment="tests").gateway())


@contextmanager
def docker_client() -> Iterator[Any]:
    """Give the SDK's client, past the engine; the test fails when no Docker engine answers."""
    try:
        client = docker.APIClient(default_url(), version="auto", timeout=BUILD_TIMEOUT_S)
    except docker.errors.DockerException as error:
        pytest.fail(f"No Docker engine answers at {default_url()}: run `make services`. ({error})")
    with closing(client):
        yield client


def new_spec(image: str = "", **changes: Any) -> Spec:
    """Return a container of a name of its own, with limits that suit a test."""
    told: dict[str, Any] = {
        "name": f"task-{clock.new_id()}",
        "image": image or base_image(),
        "labels": {"quayline.run": "1"},
        "env": {},
        "memory_bytes": 64 * MIB,
        "cpus": 1.0,
        "pids": 64,
        "tmpfs_bytes": MIB,
        "log_bytes": 64 * MIB,
    }
    return Spec(**(told | changes))


def remove_all(deployment: str) -> None:
    """Nothing of the deployment is on the Docker host."""
    filters = {"label": [f"{DEPLOYMENT_LABEL}={deployment}"]}
    with docker_client() as client:
        for container in client.containers(all=True, filters=filters):
            harmless(client.remove_container, container["Id"], v=True, force=True)
        empty = partial(_has_none, client, filters)
        eventually(empty, within_s=30, what=f"the containers of {deployment} are removed")
        for volume in client.volumes(filters=filters)["Volumes"] or []:
            client.remove_volume(volume["Name"], force=True)
        for network in client.networks(filters=filters):
            name = network["Id"]
            gone = partial(_is_removed, client, name)
            eventually(gone, within_s=30, what=f"the network {name} is removed")


def _has_none(client: Any, filters: dict[str, list[str]]) -> bool:
    return not client.containers(all=True, filters=filters)


def _is_removed(client: Any, network: str) -> bool:
    try:
        client.remove_network(network)
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError:
        # The last container's place in it is given up a moment after the container is gone.
        return False
    return True


def _have(client: Any, name: str, build: Callable[[Any, Path], None]) -> None:
    if not client.images(name):
        build(client, FOLDER)


@contextmanager
def _building() -> Iterator[Any]:
    """Give the client, to one process at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock, docker_client() as client:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield client
