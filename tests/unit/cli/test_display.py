"""How progress is shown, by what standard error is."""

import io
from typing import Any

import pytest

from pipeline.cli import display
from pipeline.cli.display import LiveBar, Pace, PlainLines, Silence, display_for, told_duration
from pipeline.producer import Progress


def progress(done: int, total: int = 100, **told: Any) -> Progress:
    facts: dict[str, Any] = {
        **{"state": "running", "stage": "working", "message": "", "total": total, "done": done},
        **{"succeeded": done, "failed": 0, "timed_out": 0, "cancelled": 0, "reused": 0},
        **{"planned": True, "finalized": False, "elapsed_s": 1.0, "rate_per_s": 4.0, "eta_s": 1.0},
    }
    return Progress(**{**facts, **told})


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    told = Clock()
    monkeypatch.setattr(display, "time", told)
    return told


def test_plain_lines_are_at_most_one_per_two_seconds_and_ten_percent(clock, capsys):
    lines = PlainLines("repo.zip")
    for tick in range(1000):
        clock.now += 0.1
        lines.show(progress(tick // 10, 100))
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("repo.zip: 1/100 files (1%)")
    assert 8 <= len(told) <= 12
    assert all("files/s, working" in line for line in told)


def test_plain_lines_give_a_sign_of_life_when_nothing_moves(clock, capsys):
    lines = PlainLines("x")
    for _ in range(700):
        clock.now += 0.1
        lines.show(progress(1))
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_short_job_has_no_plain_lines(clock, capsys):
    lines = PlainLines("x")
    clock.now += 1.9
    lines.show(progress(100))
    assert capsys.readouterr().err == ""


def test_the_pace_is_that_of_late_and_leaves_out_what_was_reused(clock):
    pace = Pace()
    for tick in range(31):
        clock.now += 1.0
        rate, left = pace.see(progress(50 + tick, 100, reused=50))
    assert rate == pytest.approx(1.0)
    assert left == pytest.approx(20.0)


def test_time_left_is_unknown_until_the_job_is_planned(clock):
    assert Pace().see(progress(5, planned=False)) == (4.0, None)


def test_the_kind_of_display_follows_standard_error(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display_for("x", quiet=True), Silence)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(display_for("x", quiet=False), PlainLines)
    monkeypatch.setattr("sys.stderr", Terminal())
    shown = display_for("a [red]name", quiet=False)
    assert isinstance(shown, LiveBar)
    shown.show(progress(25))
    shown.close()
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display_for("x", quiet=False), PlainLines)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:01"), (61, "1:01"), (3661, "1:01:01")])
def test_durations_read_like_a_clock(seconds, text):
    assert told_duration(seconds) == text
