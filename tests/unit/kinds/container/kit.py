"""Executions, containers and hosts as the rules see them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.adapters.engines.model import Seen
from pipeline.core.executions import Execution
from pipeline.core.hosts import Host
from pipeline.kinds.container.spec import Common, ContainerParameters

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TASK_ID = uuid.UUID(int=7)


def ago(seconds: float) -> datetime:
    """Return the moment so many seconds before now."""
    return NOW - timedelta(seconds=seconds)


def execution(**told: Any) -> Execution:
    """Return an execution that runs, launched a minute ago."""
    running: dict[str, Any] = dict.fromkeys(Execution.__dataclass_fields__)
    running |= {"task_id": TASK_ID, "job_id": uuid.UUID(int=1), "seq": 0, "kind": "container"}
    running |= {"attempt": 1, "task_attempt": 1, "run": 1, "state": "running", "message": ""}
    running |= {"host": "here", "container": f"task-{TASK_ID}", "strikes": 0, "now": NOW}
    running |= {"cancel_requested": False, "is_late": False, "placed_at": ago(61)}
    running |= {"listening_since": ago(10_000)}
    return replace(Execution(**running), **{"launched_at": ago(60), **told})


def seen(**told: Any) -> Seen:
    """Return a container that has ended well."""
    ended: dict[str, Any] = {"state": "exited", "exit_code": 0, "finished_at": ago(1)}
    ended |= {"id": "c1", "name": f"task-{TASK_ID}", "image": "collect", "labels": {}}
    return Seen(**{**ended, "created_at": ago(61), **told})


def host(**told: Any) -> Host:
    """Return a host that answers."""
    here: dict[str, Any] = dict.fromkeys(Host.__dataclass_fields__)
    here |= {"name": "here", "url": "", "slots": 4, "labels": {}, "is_draining": False}
    return Host(**{**here, "facts": {}, "now": NOW, **told})


def task(**told: Any) -> Common:
    """Return the parameters of a task of any image."""
    custom = {"task_name": "a", "task_type": "custom", "docker_image": "data-collection-x"}
    return ContainerParameters.model_validate({**custom, **told}).root
