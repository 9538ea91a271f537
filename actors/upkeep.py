"""Doorbells of the upkeep; those of a kind stand beside the kind's others."""

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core.context import current_context


@dramatiq.actor(queue_name="monitoring", time_limit=5 * MINUTE_MS)
def monitor_task_execution() -> None:
    """Find lost workers and hints, passed deadlines and unwritten reports: a sweep."""
    _do("monitor_task_execution")


@dramatiq.actor(queue_name="health_check", time_limit=2 * MINUTE_MS)
def check_health() -> None:
    """Look at what the deployment needs, and keep what was found."""
    _do("check_health")


@dramatiq.actor(queue_name="cleanup", time_limit=20 * MINUTE_MS)
def cleanup_old_data() -> None:
    """Remove what was kept long enough."""
    _do("cleanup_old_data")


@dramatiq.actor(queue_name="cleanup", time_limit=20 * MINUTE_MS)
def cleanup_task_resources() -> None:
    """Remove files that no row needs."""
    _do("cleanup_task_resources")


@dramatiq.actor(queue_name="cleanup", time_limit=20 * MINUTE_MS)
def daily_cleanup() -> None:
    """Do both."""
    _do("daily_cleanup")


@dramatiq.actor(queue_name="migration", time_limit=20 * MINUTE_MS)
def migrate_database() -> None:
    """Bring the database to the schema of this version."""
    _do("migrate_database")


@dramatiq.actor(queue_name="migration", time_limit=5 * MINUTE_MS)
def initialize_users() -> None:
    """Make the first administrator's token known."""
    _do("initialize_users")


@dramatiq.actor(queue_name="migration", time_limit=20 * MINUTE_MS)
def update_indexes() -> None:
    """Build the indexes anew."""
    _do("update_indexes")


@dramatiq.actor(queue_name="migration", time_limit=20 * MINUTE_MS)
def backup_data() -> None:
    """Back rows and blobs up."""
    _do("backup_data")


def _do(name: str) -> None:
    from pipeline.core import upkeep

    upkeep.do(name, current_context())
