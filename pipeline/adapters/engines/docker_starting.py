"""Starts containers that have not run."""

from typing import Any

from docker.errors import APIError

from pipeline.adapters.engines import docker_network
from pipeline.adapters.engines.docker_daemon import is_hosts, sentence
from pipeline.adapters.engines.docker_finding import there
from pipeline.adapters.engines.errors import CannotStart
from pipeline.adapters.engines.model import Seen


def start(client: Any, deployment: str, seen: Seen) -> None:
    """The container runs, or ran. Raises ``CannotStart``, ``NoSuchContainer``."""
    try:
        _start(client, deployment, seen)
    except APIError as error:
        now = there(client, deployment, seen.name)
        if now.state != "created":
            return
        if is_hosts(error):
            raise
        raise CannotStart(f"Docker cannot start it: {sentence(error)}") from error


def _start(client: Any, deployment: str, seen: Seen) -> None:
    try:
        client.start(seen.id)
    except APIError as error:
        network = client.inspect_container(seen.id)["HostConfig"]["NetworkMode"]
        told = sentence(error)
        if network not in told or not (error.status_code == 404 or "ambiguous" in told):
            raise
        # It was pruned since the container was created, or is there twice at this moment.
        docker_network.ensure(client, deployment, network)
        client.start(seen.id)
