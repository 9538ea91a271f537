"""Doorbells: each actor is a queue, limits and one call. ``dramatiq actors`` starts a worker."""

import sys

from pipeline import broker
from pipeline.errors import QuaylineError

try:
    broker.current_broker()
except QuaylineError as error:
    # Dramatiq would show a traceback of it.
    sys.exit(f"Error: {error.message}")

from actors import container, monitoring, service, sql_lint, upkeep

__all__ = ["container", "monitoring", "service", "sql_lint", "upkeep"]
