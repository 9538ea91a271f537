"""A bound on a whole answer; the client has one for each read, however many reads there are."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")
#: A connection is read by whoever waits for its answer, so that the thread knows the deadline.
_here = threading.local()


class OutOfTime(Exception):
    """The deadline has passed before the answer was whole."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Reads of this thread raise ``OutOfTime`` from then on, and wait no longer than that."""
    _here.at = time.monotonic() + seconds
    try:
        yield
    finally:
        del _here.at


def heed_deadline(event: str, told: dict[str, Any]) -> None:
    """As a request's ``trace`` extension it makes each new connection heed deadlines."""
    if event.endswith(_CONNECTED):
        stream = told["return_value"]
        stream.read = partial(_read, stream.read)


def _read(
    read: Callable[[int, float | None], bytes], max_bytes: int, timeout: float | None = None
) -> bytes:
    at = getattr(_here, "at", None)
    if at is None:
        return read(max_bytes, timeout)
    left_s = at - time.monotonic()
    if left_s <= 0:
        raise OutOfTime
    return read(max_bytes, left_s if timeout is None else min(timeout, left_s))
