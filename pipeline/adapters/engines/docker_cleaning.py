"""Removes containers and what they leave on a Docker host."""

from collections.abc import Collection
from typing import Any

from pipeline.adapters.engines.docker_body import app_volume, output_volume
from pipeline.adapters.engines.docker_finding import find, harmless
from pipeline.adapters.engines.docker_seen import listed
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL

#: End of the name of a container that is being made.
PREPARING = ".preparing"
#: Nobody takes so long to make one.
PREPARED_S = 600.0


def remove(client: Any, deployment: str, name: str, *, keep_output: bool = False) -> None:
    """Neither the container nor its volumes are there; a running one was killed."""
    remove_preparing(client, deployment, name)
    seen = find(client, deployment, name)
    if seen is not None:
        harmless(client.remove_container, seen.id, v=True, force=True)
    remove_volumes(client, deployment, name, keep_output=keep_output)


def remove_preparing(client: Any, deployment: str, name: str) -> None:
    """No container is being made under that name.

    It is removed by its name and only if it does not run: the one that was seen may have been
    given its own name since, and be started.
    """
    if find(client, deployment, name + PREPARING) is not None:
        harmless(client.remove_container, name + PREPARING, v=True)


def remove_volumes(client: Any, deployment: str, name: str, *, keep_output: bool = False) -> None:
    """The volumes of the container of that name are not there, unless it is."""
    for volume in (app_volume,) if keep_output else (app_volume, output_volume):
        harmless(client.remove_volume, volume(deployment, name))


def remove_leftovers(
    client: Any, deployment: str, keep: Collection[str] = (), *, dry_run: bool = False
) -> int:
    """Remove, or count, the deployment's volumes that no container has, except of those to keep."""
    filters = {"label": [f"{DEPLOYMENT_LABEL}={deployment}"]}
    # The volumes first: one that is made later is in neither list.
    volumes = client.volumes(filters=filters)["Volumes"] or []
    containers = client.containers(all=True, filters=filters)
    for document in containers:
        seen = listed(document)
        if seen.name.endswith(PREPARING) and seen.age_s > PREPARED_S and not dry_run:
            harmless(client.remove_container, seen.id, v=True, force=True)
    used = {mount.get("Name") for document in containers for mount in document["Mounts"]}
    used |= {volume(deployment, name) for name in keep for volume in (app_volume, output_volume)}
    return sum(
        dry_run or harmless(client.remove_volume, volume["Name"])
        for volume in volumes
        if volume["Name"] not in used
    )
