"""The scheduler process: ``python -m schedules`` (``make schedule``)."""

import logging
import signal
from queue import SimpleQueue

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline import logs
from pipeline.core.context import Context, close_context, open_context
from pipeline.errors import Transient
from schedules.timetable import Entry, timetable

log = logging.getLogger("schedules")

#: A tick that is this late still runs; APScheduler's own default is one second.
MISFIRE_GRACE_S = 60


def main() -> None:
    """Ring the timetable until SIGTERM or SIGINT; a tick that runs then ends first."""
    context = open_context()
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
    scheduler.start()
    told_to_end.get()
    scheduler.shutdown(wait=True)
    close_context()


def _tick(entry: Entry, context: Context) -> None:
    try:
        entry.run(context)
    except Transient as error:
        log.warning("A tick could not run", extra={"entry": entry.name, "error": str(error)})
    except Exception:
        log.exception("A tick failed", extra={"entry": entry.name})


if __name__ == "__main__":
    main()
