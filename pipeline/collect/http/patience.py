"""Trying again: with backoff, as long as a server asks for, and never after a stop."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from pipeline.collect.errors import CollectFailed, Stopped
from pipeline.collect.http.answer import Answer, TryAgain
from pipeline.collect.http.retry_after import retry_after_s
from pipeline.collect.secrets import shown
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)
T = TypeVar("T")

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_backoff = wait_random_exponential(multiplier=0.5, max=60.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try again, and the longest wait that a server may ask for."""

    max_retries: int
    max_retry_after_s: float

    def heed(self, answer: Answer) -> Answer:
        """Return the answer; raises ``TryAgain`` where the server is busy or has trouble."""
        if answer.status not in _BUSY:
            return answer
        place = shown(answer.url)
        after_s = retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))
        if after_s is not None and after_s > self.max_retry_after_s:
            raise CollectFailed(
                f"{place} answered {answer.status} and asks to wait {after_s:.0f} s, more than"
                f" max_retry_after_s ({self.max_retry_after_s:g})."
            )
        raise TryAgain(f"{place} answered {answer.status}.", after_s)

    def insist(self, attempt: Callable[[], T], stop: Stop) -> T:
        """Return what an attempt returns; raises its last ``TryAgain``, or ``Stopped``."""
        retrying = Retrying(
            retry=retry_if_exception_type(TryAgain),
            wait=_wait_s,
            stop=stop_after_attempt(self.max_retries + 1) | stop_when_event_set(stop.event),
            sleep=sleep_using_event(stop.event),
            before_sleep=_say,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgain:
            if stop.requested:
                raise Stopped(stop.reason) from None
            raise


def _wait_s(call: RetryCallState) -> float:
    error = call.outcome.exception() if call.outcome else None
    if isinstance(error, TryAgain) and error.after_s is not None:
        return error.after_s
    return float(_backoff(call))


def _say(call: RetryCallState) -> None:
    error = call.outcome.exception() if call.outcome else None
    logger.warning("%s Trying again in %.1f s", error, call.upcoming_sleep)
