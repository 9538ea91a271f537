"""The whole service in one process: worker threads on the in-memory broker, and the sweep.

The same actors, rows and storage as on RabbitMQ; a crash loses nothing, since rows are the truth
and the next process on the same database goes on.
"""

import logging
import threading
import time
from dataclasses import replace

import dramatiq

from pipeline import broker
from pipeline.core import doorbells, trouble
from pipeline.core.context import Context, is_open
from pipeline.core.kinds import all_kinds, release_all
from pipeline.core.sweep import sweep
from pipeline.errors import QuaylineError

log = logging.getLogger(__name__)

#: Threads for messages that are not a kind's work: plans, finishes, upkeep.
LIGHT_THREADS = 3


class Embedded:
    """Worker threads and a sweep thread; ``close`` lets what runs end and stops them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ended = threading.Event()
        doorbells.declared()
        # A kind has at most ``batches_in_flight`` messages, so light ones always find a thread,
        # though calls of services and files of a lint job keep all of theirs for long.
        most = (context.settings.batches_in_flight or 0) * len(all_kinds())
        threads = most + LIGHT_THREADS
        self._worker = dramatiq.Worker(
            broker.current_broker(), worker_threads=threads, worker_timeout=100
        )
        self._worker.start()
        self._sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        self._sweeper.start()

    def _sweep(self) -> None:
        # What a process that is gone had in memory died with it: at first no hint is on its way.
        first = self._context.settings.model_copy(update={"hint_again_s": 0.0})
        context = replace(self._context, settings=first)
        rung: dict[str, float] = {}
        while is_open(self._context):
            try:
                sweep(context)
                context = self._context
                self._ring(rung)
            except QuaylineError as error:
                trouble.note(error)
                log.warning("A sweep could not run", extra={"error": str(error)})
            except Exception:
                log.exception("A sweep failed")
            if self._ended.wait(self._context.settings.sweep_s):
                return

    def _ring(self, rung: dict[str, float]) -> None:
        """Ring what is due of the kinds' timetable; ``rung`` holds when each was last."""
        now = time.monotonic()
        for tick in (tick for kind in all_kinds() for tick in kind.ticks(self._context)):
            if now - rung.get(tick.actor, -tick.every_s) >= tick.every_s:
                rung[tick.actor] = now
                tick.ring()

    def close(self, *, patience_s: float = 60.0) -> None:
        """Stop taking messages, let running batches end, stop the sweep."""
        self._ended.set()
        self._worker.stop(timeout=int(patience_s * 1000))
        self._sweeper.join(patience_s)
        release_all()
