"""Doorbells of the access log."""

import dramatiq

from pipeline.broker import MINUTE_MS
from pipeline.core.access_log import Batch
from pipeline.core.context import current_context


@dramatiq.actor(queue_name="access_log", time_limit=2 * MINUTE_MS)
def store_access_log(batch: Batch) -> None:
    """Write requests that were answered, those alone that have no row yet."""
    from pipeline.core import access_intake

    current_context()
    access_intake.take(batch)


@dramatiq.actor(queue_name="access_log", time_limit=20 * MINUTE_MS)
def cleanup_old_access_logs() -> None:
    """Remove requests that were kept long enough."""
    from pipeline.core import upkeep

    upkeep.do("cleanup_old_access_logs", current_context())
