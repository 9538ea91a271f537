"""Timestamps that are cursors: each later than the one before, the same at every reading."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.adapters.engines import timestamps
from pipeline.adapters.engines.model import LogEntry

#: A reading that resumes begins so long before its cursor. Entries of the two streams are not quite
#: in the order of their times, and pieces of a long line share one.
MARGIN_NS = timestamps.SECOND_NS


def begin_s(since: str) -> int | None:
    """Return the second since 1970 at which a reading after the cursor has to begin."""
    return max(1, (timestamps.to_ns(since) - MARGIN_NS) // timestamps.SECOND_NS) if since else None


def after(since: str, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """Yield those after the cursor, with timestamps that grow; all have nine digits of a second.

    An entry that is not later than the one before becomes a nanosecond later than that. So two
    readings give an entry the same timestamp as soon as both have passed a pause in the log.
    """
    last = ""
    for entry in entries:
        grown = entry
        if entry.timestamp <= last:
            grown = replace(entry, timestamp=timestamps.next_after(last))
        last = grown.timestamp
        if last > since:
            yield grown
