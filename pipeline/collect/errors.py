"""How a collector's work can end early; every message is one sentence that its owner can act on."""

from typing import Any


class CollectError(Exception):
    """The root of what this package raises on purpose; ``result_data`` is what there is so far."""

    def __init__(self, message: str, result_data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.result_data = result_data or {}


class ConfigRefused(CollectError):
    """The config document, or a part of it, cannot be used: exit code 2; a retry is no help."""


class CollectFailed(CollectError):
    """The work cannot be finished: exit code 1; what was collected so far is kept."""


class Stopped(CollectError):
    """Somebody asked the work to end before it was done: exit code 143."""


class Unanswered(CollectError):
    """The service gave no usable answer to a call; asking again later may help."""
