"""Timestamps as cursors."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.engines import cursor, timestamps
from pipeline.adapters.engines.model import LogEntry
from pipeline.errors import Refused

START_NS = timestamps.to_ns("2026-11-26T13:00:00Z")


def _entries(times_ns: list[int]) -> list[LogEntry]:
    return [
        LogEntry(timestamps.to_text(START_NS + time_ns), "stdout", b"%d" % number)
        for number, time_ns in enumerate(times_ns)
    ]


@given(st.lists(st.integers(0, 20), max_size=50))
def test_timestamps_grow_whatever_their_order(times_ns: list[int]) -> None:
    told = [entry.timestamp for entry in cursor.after("", _entries(times_ns))]

    assert told == sorted(set(told))
    assert len(told) == len(times_ns)


def test_a_reading_that_begins_later_gives_the_same_timestamps() -> None:
    drawn = random.Random(5)
    # Bursts of equal and swapped times, with pauses between them.
    times_ns = [
        burst * timestamps.SECOND_NS + drawn.randrange(5) for burst in range(20) for _ in range(50)
    ]
    entries = _entries(times_ns)
    whole = list(cursor.after("", entries))

    for at in range(200, len(whole), 37):
        since = whole[at].timestamp
        begin = cursor.begin_s(since)
        assert begin is not None
        begin_ns = begin * timestamps.SECOND_NS
        later = [entry for entry in entries if timestamps.to_ns(entry.timestamp) >= begin_ns]
        assert list(cursor.after(since, later)) == whole[at + 1 :]


@pytest.mark.parametrize("text", ["x", "2026", "2026-13-01T00:00:00Z", "1e9", "-1", "\0"])
def test_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        cursor.begin_s(text)


def test_time_survives_its_text() -> None:
    assert timestamps.to_text(timestamps.to_ns("2026-11-26T13:00:00.5+01:00")) == (
        "2026-11-26T12:00:00.500000000Z"
    )
