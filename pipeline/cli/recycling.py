"""A worker process that is over its measure finishes its messages and ends; another takes its seat.

It takes no new messages then, and what it fetched before its time goes back to the broker. Only a
process with a keeper (``pipeline/cli/keeper.py``) recycles itself: alone it would not come back.
"""

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

log = logging.getLogger("pipeline.worker")

STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return the memory that this process has in use, without that of its children."""
    return int(STATM.read_text().split()[1]) * PAGE_BYTES


class Recycling(Middleware):
    """Ends the process after so many messages, or once it is so large; 0 is no limit."""

    def __init__(self, *, max_messages: int, max_memory_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_memory_bytes = max_memory_bytes
        self._worker: dramatiq.Worker | None = None
        self._lock = threading.Lock()
        self._messages = 0
        self._is_ending = False

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Keep whom to stop."""
        self._worker = worker

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: dramatiq.MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Count the message, and look whether that was the last."""
        with self._lock:
            self._messages += 1
            why = None if self._is_ending else self._excess()
            self._is_ending = self._is_ending or why is not None
        if why is not None:
            log.info("A worker process is replaced", extra=why)
            threading.Thread(target=self._end, name="recycling", daemon=True).start()

    def _excess(self) -> dict[str, int] | None:
        if self._max_messages and self._messages >= self._max_messages:
            return {"messages": self._messages}
        if self._max_memory_bytes and (size := resident_bytes()) > self._max_memory_bytes:
            return {"memory_bytes": size}
        return None

    def _end(self) -> None:
        """Wait for the messages in work, then ask dramatiq to stop as anybody would.

        Stopped at once, they would hand back what they had not begun. The consumers go on: they
        keep the connection alive.
        """
        assert self._worker is not None
        for thread in self._worker.workers:
            thread.pause()
        for thread in self._worker.workers:
            thread.paused_event.wait()
        os.kill(os.getpid(), signal.SIGTERM)
