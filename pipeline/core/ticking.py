"""The one loop that rings the timetable, each entry in a thread of its own."""

import logging
import time
from collections.abc import Sequence
from typing import Self

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline import metrics
from pipeline.core.context import Context
from pipeline.core.timetable import Entry
from pipeline.errors import Transient

log = logging.getLogger(__name__)

#: A tick that is this late still runs; APScheduler's own default is one second.
MISFIRE_GRACE_S = 60

#: How often the wall clock is looked at, and from where on it counts as set back, in seconds.
LOOK_S = 1.0
SET_BACK_S = 1.0


class Ticking:
    """Rings the entries that are on, inside a block; a tick that runs then ends first.

    Ticks that were missed are one; a tick that is slow costs its own entry alone.
    """

    def __init__(self, entries: Sequence[Entry], context: Context) -> None:
        self._context = context
        self._entries = [entry for entry in entries if entry.when is not None]
        self._clock = WallClock()
        self._scheduler = BackgroundScheduler(
            # A thread for each: none waits for another.
            executors={"default": ThreadPoolExecutor(len(self._entries) + 1)},
            job_defaults={
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": MISFIRE_GRACE_S,
            },
            timezone="UTC",
        )
        for entry in self._entries:
            self._scheduler.add_job(
                *(_tick, self._trigger(entry)), args=(entry, context), id=entry.name
            )

    def __enter__(self) -> Self:
        """Begin to ring."""
        self._scheduler.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Ring no more."""
        self._scheduler.shutdown(wait=True)

    def look(self) -> None:
        """Begin anew when the wall clock was set back: APScheduler would tick again when the times
        come that it has noted."""
        if self._clock.was_set_back():
            log.warning("The clock was set back; the timetable begins anew")
            for entry in self._entries:
                self._scheduler.reschedule_job(entry.name, trigger=self._trigger(entry))

    def _trigger(self, entry: Entry) -> object:
        assert entry.when is not None
        return entry.when.trigger(self._context.settings.timezone)


class WallClock:
    """Tells whether the wall clock was set back since the last look."""

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()

    def was_set_back(self) -> bool:
        """Look, and remember where it stands."""
        before, self._ahead_s = self._ahead_s, time.time() - time.monotonic()
        return before - self._ahead_s > SET_BACK_S


def _tick(entry: Entry, context: Context) -> None:
    try:
        with metrics.tick(entry.name):
            entry.run(context)
    except Transient as error:
        log.warning("A tick could not run", extra={"entry": entry.name, "error": str(error)})
    except Exception:
        log.exception("A tick failed", extra={"entry": entry.name})
