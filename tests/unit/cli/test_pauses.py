"""Pauses before a new start."""

from pipeline.cli.pauses import GOOD_RUN_S, LONGEST_S, Pauses


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Pauses(1.0)
    assert [pauses.after(0.0) for _ in range(7)] == [1, 2, 4, 8, 16, LONGEST_S, LONGEST_S]


def test_a_good_run_begins_anew() -> None:
    pauses = Pauses(1.0)
    pauses.after(0.0)
    assert pauses.after(0.0) == 2.0
    assert pauses.after(GOOD_RUN_S) == 1.0
