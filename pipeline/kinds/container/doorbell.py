"""Rings for what is to be done about one container. A lost ring costs one look of the monitor."""

import uuid

from pipeline import broker

QUEUE = "task_execution"
MANAGEMENT = "docker_management"


def ring_end(task_id: uuid.UUID) -> None:
    """Its end may be there: let somebody collect it."""
    _ring(QUEUE, "collect_container", task_id)


def ring_stop(task_id: uuid.UUID, *, kill: bool = False) -> None:
    """Let somebody stop it."""
    _ring(MANAGEMENT, "kill_container" if kill else "stop_container", task_id)


def _ring(queue: str, actor: str, task_id: uuid.UUID) -> None:
    broker.send_soon([broker.message(queue, actor, str(task_id))], lambda: None)
