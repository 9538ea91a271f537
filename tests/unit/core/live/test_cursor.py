"""Cursors: what was told is not told again, and nothing is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.live.cursor import MOST_NAMED, MOST_TEXT, SETTLED_S, Cursor
from pipeline.errors import Refused

ROWS = st.lists(st.integers(1, 300), unique=True, max_size=80)


@given(ROWS)
def test_what_was_told_is_known_after_a_way_through_text(rows: list[int]) -> None:
    told = Cursor()
    assert all(told.take(row, 0.0) for row in rows)
    again = Cursor.read(told.text())
    assert [row for row in range(1, 301) if again.take(row, 0.0)] == [
        row for row in range(1, 301) if row not in rows
    ]


@given(ROWS)
def test_each_row_is_told_once(rows: list[int]) -> None:
    told = Cursor()
    assert [told.take(row, 0.0) for row in [*rows, *rows]] == [True] * len(rows) + [False] * len(
        rows
    )


def test_a_lower_row_that_comes_late_is_told() -> None:
    told = Cursor()
    told.take(7, 1.0)
    told = Cursor.read(told.text())
    assert told.take(6, 1.0)
    assert told.text() == "0.6-7"


def test_old_rows_become_one_number() -> None:
    told = Cursor()
    for row in (3, 5, 9):
        told.take(row, SETTLED_S + 1)
    told.take(12, 0.0)
    assert told.text() == "9.3"
    assert not told.take(4, SETTLED_S + 1)


def test_a_cursor_of_many_gaps_stays_short_and_tells_nothing_twice() -> None:
    told = Cursor()
    rows = range(2, 20_000, 2)
    for row in rows:
        told.take(row, 0.0)
    text = told.text()
    assert len(text) <= MOST_TEXT
    again = Cursor.read(text)
    assert not any(again.take(row, 0.0) for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-1", "1.", ".1", "1.2-", "1.0", "1.5-3", "1.2 ", "٣", "1" * 19, "1.²"),
        f"0.1-{MOST_NAMED + 2}",
        "1." + "1." * MOST_TEXT + "1",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="event id"):
        Cursor.read(text)


def test_the_last_row_is_known() -> None:
    assert Cursor().last == 0
    assert Cursor.read("5").last == 5
    assert Cursor.read("5.2-3").last == 8


def test_settling_waits_for_what_may_still_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    told = Cursor()
    told.take(5, 0.0)
    now += SETTLED_S - 1
    assert told.text() == "0.5"
    now += 2
    assert told.text() == "5"
