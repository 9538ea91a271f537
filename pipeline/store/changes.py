"""Which jobs a transaction changes: told to whoever watches them, once it is over.

Also of one that was rolled back, or may have been: who hears of it looks, and sees nothing new.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline import events

_here = threading.local()


def note(job_id: uuid.UUID) -> None:
    """The transaction around changes this job; without one nobody is told."""
    noted: set[uuid.UUID] | None = getattr(_here, "noted", None)
    if noted is not None:
        noted.add(job_id)


@contextmanager
def told() -> Iterator[None]:
    """Tell after the block which jobs were noted in it."""
    _here.noted = set()
    try:
        yield
    finally:
        noted, _here.noted = _here.noted, None
        if noted:
            events.changed(noted)
