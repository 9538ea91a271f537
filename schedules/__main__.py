"""The scheduler process: ``python -m schedules`` (``make schedule``)."""

import logging
import signal
import sys
from contextlib import suppress
from queue import Empty, SimpleQueue

from pipeline import logs
from pipeline.core.context import close_context, open_context
from pipeline.core.schedules import firing
from pipeline.core.ticking import LOOK_S, Ticking
from pipeline.core.timetable import Entry, changed
from pipeline.errors import DatabaseUnavailable, QuaylineError
from schedules.exporter import exporting
from schedules.timetable import timetable

log = logging.getLogger("schedules")


def main() -> None:
    """Ring the timetable until SIGTERM or SIGINT; a tick that runs then ends first.

    A setting that cannot be used, or a database that is away, is one sentence and exit code 1.
    """
    try:
        context = open_context()
        entries = changed(timetable(context), context.settings)
    except QuaylineError as error:
        sys.exit(f"Error: {error.message}")
    logs.configure(context.settings.log_level, context.settings.log_format)
    # A handler interrupts this thread anywhere, so it may take no lock: this put takes none.
    told_to_end: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: told_to_end.put(got))
    log.info("The scheduler runs", extra={"entries": _on(entries)})
    with exporting(context, _on(entries)), Ticking(entries, context) as ticking:
        while not _comes(told_to_end):
            ticking.look()
    with suppress(DatabaseUnavailable):
        firing.leave(context)
    close_context()


def _on(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries if entry.when is not None]


def _comes(told: SimpleQueue[int]) -> bool:
    try:
        told.get(timeout=LOOK_S)
    except Empty:
        return False
    return True


if __name__ == "__main__":
    main()
