"""Which of the times that have come are jobs."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.core.schedules.lateness import runs
from pipeline.states import CatchUp

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "ages_s", "more", "expected"),
    [
        (CatchUp.ALL, [900, 300, 5], False, [True, True, True]),
        (CatchUp.SKIP, [900, 300, 5], False, [False, False, True]),
        (CatchUp.SKIP, [900, 300], False, [False, False]),
        (CatchUp.ONCE, [900, 300], False, [False, True]),
        (CatchUp.ONCE, [900, 300, 60, 5], False, [False, False, True, True]),
        (CatchUp.ONCE, [900, 300], True, [False, False]),
        (CatchUp.ONCE, [], False, []),
    ],
)
def test_what_is_late_is_caught_up_by_the_policy(
    policy: CatchUp, ages_s: list[int], more: bool, expected: list[bool]
) -> None:
    times = [NOW - timedelta(seconds=age_s) for age_s in ages_s]
    late_before = NOW - timedelta(seconds=60)
    assert runs(times, policy, late_before=late_before, more=more) == expected
