"""The roles of workers: which queues one takes, and how many processes, threads and messages.

A queue belongs to one role, and ``all`` takes every queue, those of kinds added later too.
"""

import os
from dataclasses import dataclass
from enum import StrEnum


class RoleName(StrEnum):
    """What a worker is for."""

    LINT = "lint"
    CONTAINERS = "containers"
    LIGHT = "light"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Role:
    """How a worker of this role is started."""

    #: Empty: every queue.
    queues: tuple[str, ...]
    threads: int
    #: Messages of one queue that a process holds, those in work included; None: twice the threads.
    prefetch: int | None
    #: One process per core; else one.
    per_core: bool = False

    def processes(self) -> int:
        """Return how many worker processes this machine has use for."""
        return (os.cpu_count() or 1) if self.per_core else 1

    def arguments(self) -> list[str]:
        """Return what ``dramatiq`` is told of it."""
        return ["--queues", *self.queues] if self.queues else []


ROLES: dict[RoleName, Role] = {
    # What keeps a core or a disk busy. A message that waits behind such work waits long, so none
    # is fetched before its time.
    RoleName.LINT: Role(
        queues=("zip_processing", "sql_analysis", "heavy_tasks", "repository", "minimap"),
        threads=4,
        prefetch=1,
        per_core=True,
    ),
    # The only ones that have to reach every Docker host; they wait for it most of the time.
    RoleName.CONTAINERS: Role(
        queues=("task_execution", "docker_management"), threads=16, prefetch=16
    ),
    # Short steps, and upkeep.
    RoleName.LIGHT: Role(
        queues=(
            *("monitoring", "scheduler", "cleanup", "health_check", "fast_tasks"),
            *("statistics", "access_log", "migration"),
        ),
        threads=8,
        prefetch=8,
    ),
    RoleName.ALL: Role(queues=(), threads=4, prefetch=None, per_core=True),
}
