"""Makes containers: whole, or not at all."""

from typing import Any

from docker.errors import APIError, ImageNotFound

from pipeline.adapters.engines import docker_config, docker_network
from pipeline.adapters.engines.docker_body import body
from pipeline.adapters.engines.docker_cleaning import PREPARING, remove_preparing, remove_volumes
from pipeline.adapters.engines.docker_daemon import is_hosts, sentence
from pipeline.adapters.engines.docker_finding import DONE_BEFORE, find_any, harmless, is_of
from pipeline.adapters.engines.errors import (
    CannotCreate,
    EngineUnavailable,
    ForeignContainer,
    ImageMissing,
)
from pipeline.adapters.engines.model import Spec


def make(client: Any, deployment: str, spec: Spec) -> None:
    """A container of that name is there: this one, or one that another caller made meanwhile.

    It is made under another name, and given its own when its configuration is in place: what has
    that name is whole, wherever its maker was killed.
    """
    remove_preparing(client, deployment, spec.name)
    # Volumes of an earlier container of that name would bring along what it left.
    remove_volumes(client, deployment, spec.name, keep_output=spec.resumes)
    container = _create(client, deployment, spec)
    refusal = None
    try:
        # Only who holds the other name can give this one, so it is there now or stays free. What
        # runs under it has the same volumes: nothing is put there any more.
        if find_any(client, spec.name) is None:
            docker_config.put(client, container, spec)
            client.rename(container, spec.name)
            return
    except APIError as error:
        if is_hosts(error):
            raise
        refusal = error
    harmless(client.remove_container, container, v=True, force=True)
    remove_volumes(client, deployment, spec.name, keep_output=spec.resumes)
    _judge(client, deployment, spec.name, refusal)


def _create(client: Any, deployment: str, spec: Spec) -> str:
    network = None
    if spec.network is not None:
        network = docker_network.network_name(deployment, spec.network)
        docker_network.ensure(client, deployment, network)
    document = body(spec, deployment=deployment, network=network)
    try:
        made = client.create_container_from_config(document, spec.name + PREPARING)
    except ImageNotFound as error:
        raise ImageMissing(f"The Docker host does not have the image {spec.image}.") from error
    except APIError as error:
        if error.status_code == 409:
            raise _busy(spec.name) from error
        if is_hosts(error):
            raise
        # Docker makes the volumes before it finds fault with the rest.
        remove_volumes(client, deployment, spec.name, keep_output=spec.resumes)
        raise _refused(error) from error
    return str(made["Id"])


def _judge(client: Any, deployment: str, name: str, refusal: APIError | None) -> None:
    """Say why the container was not made; nothing, when somebody else has made it."""
    seen = find_any(client, name)
    if seen is None:
        if refusal is None or refusal.status_code in DONE_BEFORE:
            raise _busy(name) from refusal
        raise _refused(refusal) from refusal
    if not is_of(seen, deployment):
        raise ForeignContainer(f"The Docker host has a container {name} that is not ours.")


def _busy(name: str) -> EngineUnavailable:
    return EngineUnavailable(f"Somebody else makes or removes {name} at this moment.")


def _refused(error: APIError) -> CannotCreate:
    return CannotCreate(f"Docker refuses the container: {sentence(error)}")
