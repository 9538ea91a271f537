"""Doorbells: each actor is a queue, limits and one call. ``dramatiq actors`` starts a worker."""

from pipeline import broker

broker.current_broker()

from actors import monitoring, sql_lint  # noqa: E402

__all__ = ["monitoring", "sql_lint"]
