"""The scheduler process: ``python -m schedules`` (``make schedule``)."""

import logging
import signal
import sys
import time
from queue import Empty, SimpleQueue

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline import logs, metrics
from pipeline.core.context import Context, close_context, open_context
from pipeline.errors import QuaylineError, Transient
from schedules.exporter import exporting
from schedules.timetable import Entry, timetable

log = logging.getLogger("schedules")

#: A tick that is this late still runs; APScheduler's own default is one second.
MISFIRE_GRACE_S = 60

#: How often the wall clock is looked at, and from where on it counts as set back, in seconds.
LOOK_S = 1.0
SET_BACK_S = 1.0


def main() -> None:
    """Ring the timetable until SIGTERM or SIGINT; a tick that runs then ends first.

    A setting that cannot be used, or a database that is away, is one sentence and exit code 1.
    """
    try:
        context = open_context()
    except QuaylineError as error:
        sys.exit(f"Error: {error.message}")
    logs.configure(context.settings.log_level, context.settings.log_format)
    entries = timetable(context)
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(len(entries) + 1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
        timezone="UTC",
    )
    for entry in entries:
        scheduler.add_job(
            _tick, "interval", seconds=entry.every_s, args=(entry, context), id=entry.name
        )

    # A handler interrupts this thread anywhere, so it may take no lock: this put takes none.
    told_to_end: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: told_to_end.put(got))
    log.info("The scheduler runs", extra={"entries": [entry.name for entry in entries]})
    with exporting(context, [entry.name for entry in entries]):
        scheduler.start()
        clock = WallClock()
        while not _comes(told_to_end):
            if clock.was_set_back():
                _begin_anew(scheduler, entries)
        scheduler.shutdown(wait=True)
    close_context()


class WallClock:
    """Tells whether the wall clock was set back since the last look."""

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()

    def was_set_back(self) -> bool:
        """Look, and remember where it stands."""
        before, self._ahead_s = self._ahead_s, time.time() - time.monotonic()
        return before - self._ahead_s > SET_BACK_S


def _comes(told: SimpleQueue[int]) -> bool:
    try:
        told.get(timeout=LOOK_S)
    except Empty:
        return False
    return True


def _begin_anew(scheduler: BackgroundScheduler, entries: list[Entry]) -> None:
    """APScheduler would tick again when the times come that it has noted."""
    log.warning("The clock was set back; the timetable begins anew")
    for entry in entries:
        scheduler.reschedule_job(entry.name, trigger="interval", seconds=entry.every_s)


def _tick(entry: Entry, context: Context) -> None:
    began_at = time.monotonic()
    try:
        entry.run(context)
        metrics.TICK_AT.set(time.time(), entry.name)
    except Transient as error:
        metrics.TICKS_FAILED.add(entry.name)
        log.warning("A tick could not run", extra={"entry": entry.name, "error": str(error)})
    except Exception:
        metrics.TICKS_FAILED.add(entry.name)
        log.exception("A tick failed", extra={"entry": entry.name})
    metrics.TICK_SECONDS.observe(time.monotonic() - began_at, entry.name)


if __name__ == "__main__":
    main()
