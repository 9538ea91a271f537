"""What is rung periodically for containers, while there are any."""

from pipeline.core.context import Context
from pipeline.core.kinds import Tick
from pipeline.store.database import execute, session

HOUR_S = 3600.0


def ticks(context: Context) -> list[Tick]:
    """Return the kind's part of the timetable."""
    return [
        Tick("docker_management", "monitor_executions", context.settings.monitor_s, _is_any_open),
        Tick("docker_management", "check_docker_hosts", 60.0, _is_any_host),
        Tick("docker_management", "cleanup_containers", HOUR_S, _is_any_host),
        Tick("docker_management", "cleanup_configs", HOUR_S, _is_any_host),
    ]


def _is_any_open() -> bool:
    with session():
        return bool(
            execute(
                "SELECT 1 FROM executions WHERE removed_at IS NULL UNION ALL"
                " SELECT 1 FROM jobs WHERE kind = 'container' AND state IN ('pending', 'running')"
                " LIMIT 1"
            )
        )


def _is_any_host() -> bool:
    with session():
        return bool(execute("SELECT 1 FROM hosts LIMIT 1"))
