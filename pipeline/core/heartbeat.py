"""Keeps leases alive while work goes on, and hears when it should stop."""

import contextvars
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Self

from pipeline.errors import DatabaseUnavailable
from pipeline.states import Reason, TaskState
from pipeline.store.database import dialect, execute, session

log = logging.getLogger(__name__)

#: How soon a cancel or a passed deadline is noticed by running work, in seconds.
NOTICE_S = 1.0

STOPS = {
    Reason.CANCELLED: (TaskState.CANCELLED, "The job was cancelled."),
    Reason.DEADLINE: (TaskState.TIMED_OUT, "The job's deadline passed."),
}


class Heartbeat:
    """A thread that calls ``renew`` three times a lease, and watches the job.

    ``stopped()`` is cheap and tells work that it should end; ``reason`` tells why: cancelled,
    deadline, or worker_lost when the lease went to somebody else. ``also`` is called at every look.
    """

    def __init__(
        self,
        job_id: uuid.UUID,
        renew: Callable[[], bool],
        *,
        lease_s: float,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self.job_id = job_id
        self.reason: Reason | None = None
        self._renew = renew
        self._also = also
        self._renew_every_s = lease_s / 3
        self._ended = threading.Event()
        self._stop = threading.Event()
        # Its lines are about the same job and tasks as those of the thread that starts it.
        surroundings = contextvars.copy_context()
        self._thread = threading.Thread(
            target=surroundings.run, args=(self._run,), name="heartbeat", daemon=True
        )

    def stopped(self) -> bool:
        """Tell whether the work should end now."""
        return self._stop.is_set()

    def _run(self) -> None:
        tick = min(NOTICE_S, self._renew_every_s)
        since_renewal = 0.0
        while not self._ended.wait(tick):
            since_renewal += tick
            try:
                self._also()
                self.reason = self._asked_to_stop()
                if self.reason is None and since_renewal >= self._renew_every_s:
                    since_renewal = 0.0
                    self.reason = None if self._renew() else Reason.WORKER_LOST
            except DatabaseUnavailable as error:
                log.warning("A heartbeat could not be written", extra={"error": str(error)})
            except Exception:
                # A thread that ended here would let the lease of live work lapse.
                log.exception("A heartbeat failed")
            if self.reason is not None:
                self._stop.set()
                return

    def _asked_to_stop(self) -> Reason | None:
        with session():
            rows = execute(
                "SELECT cancel_requested_at IS NOT NULL,"
                f" deadline_at IS NOT NULL AND deadline_at < {dialect().now}"
                " FROM jobs WHERE id = %s",
                self.job_id.hex,
            )
        if not rows or rows[0][0]:
            return Reason.CANCELLED
        return Reason.DEADLINE if rows[0][1] else None

    def __enter__(self) -> Self:
        """Start beating."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop beating."""
        self._ended.set()
        self._thread.join()
