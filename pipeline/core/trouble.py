"""The last time that work of this process could not be written down, for whoever waits for it.

The work itself waits and tries again, so that nobody else hears of a full disk.
"""

import logging
import time
from typing import Any

from pipeline import metrics

log = logging.getLogger(__name__)

_noted_at: float | None = None


def note(error: BaseException | None) -> None:
    """The work met this error and will try again."""
    global _noted_at
    _noted_at = time.monotonic()
    metrics.TROUBLE.add(getattr(error, "reason", "error"))
    log.debug("Work could not be written", extra={"error": str(error)})


def note_attempt(state: Any) -> None:
    """The same, as tenacity tells it before a pause."""
    note(state.outcome.exception())


def within(seconds: float) -> bool:
    """Tell whether there was trouble in the last so many seconds."""
    return _noted_at is not None and time.monotonic() - _noted_at <= seconds
