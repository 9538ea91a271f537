"""Doorbells: each actor is a queue, limits and one call. ``dramatiq actors`` starts a worker."""

import sys

from pipeline import broker
from pipeline.errors import QuaylineError

try:
    broker.current_broker()
except QuaylineError as error:
    # Dramatiq would show a traceback of it.
    sys.exit(f"Error: {error.message}")

from actors import access_log, container, monitoring, service, sql_lint, statistics, upkeep

__all__ = [
    "access_log",
    "container",
    "monitoring",
    "service",
    "sql_lint",
    "statistics",
    "upkeep",
]
