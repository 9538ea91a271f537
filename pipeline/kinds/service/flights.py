"""One call on its way: what it needs to begin, and what is done about it until it ends."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pipeline import tracing
from pipeline.core.tasks import Claim
from pipeline.kinds.service import verdicts
from pipeline.kinds.service.accounts import Account
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.registry import Offer
from pipeline.kinds.service.runs import Run
from pipeline.states import Reason
from pipeline.store.results import Result

#: The longest that one call may take, whatever its service says: a message that is open for longer
#: than RabbitMQ's 30 minutes is run again beside itself. A light one may have waited for others.
MOST_LIGHT_S, MOST_HEAVY_S = 600.0, 1200.0
#: What a call came to that ended well; of any other it is the reason.
COMPLETED = "completed"


class Flying(Protocol):
    """A call that goes on, in a thread or a child process.

    ``is_mortal``: nothing of it goes on once it was abandoned.
    """

    is_mortal: ClassVar[bool]

    def start(self, ended: Callable[[Answer], None], *, after_s: float = 0.0) -> None:
        """Begin, after so many seconds; ``ended`` is told the answer, once."""

    def ask_to_stop(self) -> None:
        """Let the service see that it should end."""

    def abandon(self) -> None:
        """End it by force, as far as that goes; nobody waits for it any more."""


@dataclass(slots=True)
class Ready:
    """A call with all that it needs to begin."""

    claim: Claim
    offer: Offer
    run: Run
    account: Account
    since_s: float

    def result(self, answer: Answer) -> Result:
        """Return what is stored of a run that ended well."""
        document = {
            "status": "completed",
            "task": self.run.task,
            "result": answer.result,
            "step": self.run.step,
            "context": self.account.record(),
        }
        return Result(f"{self.claim.id.hex}.{self.claim.attempt}", document, {})


class Flight:
    """A call that has begun, and what was done about it."""

    def __init__(self, ready: Ready, flying: Flying, most_s: float) -> None:
        self.ready = ready
        self.flying = flying
        self.limit_s = min(ready.offer.limits.time_limit_s, most_s)
        self.ends_at = time.monotonic() + self.limit_s
        self.soft_at = time.monotonic() + ready.offer.limits.soft_time_limit_s
        self.stopped_at: float | None = None
        self.is_late = False
        self.is_handed_back = False
        self._traced = _traced(ready)

    def start(self, ended: Callable[["Flight", Answer], None], *, after_s: float) -> None:
        """Begin, after so many seconds; spans that the service makes are below this call's."""
        with self._traced.around():
            self.flying.start(lambda told: ended(self, told), after_s=after_s)

    def close(self, outcome: str) -> None:
        """It came to that, and its span is over."""
        self._traced.end(outcome, is_bad=outcome != COMPLETED)

    def stop(self, now: float, *, is_handed_back: bool) -> None:
        """From now on it has its grace."""
        if self.stopped_at is None:
            self.stopped_at = now
            self.is_handed_back = is_handed_back
            self.flying.ask_to_stop()

    def look(self, now: float, grace_s: float) -> Answer | None:
        """Return how it ends if it is to be ended by force."""
        if self.stopped_at is None and not self.is_late and now >= self.soft_at:
            self.is_late = True
            self.flying.ask_to_stop()
        if now >= self.ends_at:
            return verdicts.too_long(self.limit_s)
        if self.stopped_at is not None and now >= self.stopped_at + grace_s:
            return Answer(None, Reason.CANCELLED, "It was stopped.")
        return None


def _traced(ready: Ready) -> tracing.Part:
    run = ready.run
    told: dict[str, str | int] = {
        "quayline.task_id": run.task_id,
        "quayline.mode": run.mode,
        "quayline.service": run.service,
        "quayline.task": run.task,
        "quayline.attempt": run.attempt,
    }
    return tracing.Part(f"call {ready.offer.label}", uuid.UUID(run.job_id), told)
