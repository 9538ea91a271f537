"""Finds containers by their exact name, and only those of one deployment."""

from collections.abc import Callable
from typing import Any

from docker.errors import APIError, NotFound

from pipeline.adapters.engines.docker_seen import inspected
from pipeline.adapters.engines.errors import NoSuchContainer
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL, Seen

#: What a repeated call is answered: not modified, gone, or in the way of another.
DONE_BEFORE = frozenset({304, 404, 409})


def find_any(client: Any, name: str) -> Seen | None:
    """Return the container of that name, whosever it is."""
    try:
        seen = inspected(client.inspect_container(name))
    except NotFound:
        return None
    # Docker takes the beginning of an id for a name, too.
    return seen if seen.name == name else None


def find(client: Any, deployment: str, name: str) -> Seen | None:
    """Return the deployment's container of that name."""
    seen = find_any(client, name)
    return seen if seen is not None and is_of(seen, deployment) else None


def there(client: Any, deployment: str, name: str) -> Seen:
    """Return the deployment's container of that name; raise ``NoSuchContainer``."""
    seen = find(client, deployment, name)
    if seen is None:
        raise NoSuchContainer(f"There is no container {name}.")
    return seen


def is_of(seen: Seen, deployment: str) -> bool:
    """Tell whether the container is the deployment's."""
    return seen.labels.get(DEPLOYMENT_LABEL) == deployment


def harmless(call: Callable[..., Any], *arguments: Any, **options: Any) -> bool:
    """Make the call; False when it was done before, or its object is gone or in use."""
    try:
        call(*arguments, **options)
    except APIError as error:
        if error.status_code not in DONE_BEFORE:
            raise
        return False
    return True
