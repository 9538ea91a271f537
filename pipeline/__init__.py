"""Quayline: background jobs that teams can trust. ``from pipeline import Client`` is the way in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.producer import Client, Job

__all__ = ["Client", "Job"]


def __getattr__(name: str) -> Any:
    """Load the producer library at its first use, so that ``import pipeline`` stays cheap."""
    if name in __all__:
        from pipeline import producer

        return getattr(producer, name)
    raise AttributeError(name)
