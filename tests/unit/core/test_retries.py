"""Retries: which ends run again, and after what pause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.retries import (
    LOST_GRACE,
    OUTAGE_PAUSES,
    RETRYABLE,
    Decision,
    bear,
    decide,
)
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState

SETTINGS = Settings(max_attempts=5, backoff_s=4.0, backoff_max_s=20.0)
FAILED = Decision(TaskState.FAILED)


@pytest.mark.parametrize(("strikes", "pause_s"), [(1, 4.0), (2, 8.0), (3, 16.0), (4, 20.0)])
def test_the_pause_doubles_up_to_the_longest(strikes: int, pause_s: float) -> None:
    assert decide(Reason.ERROR, strikes, SETTINGS, spread=1.0).delay_s == pause_s


@pytest.mark.parametrize("strikes", [1, 2, 3, 4])
def test_the_pause_is_spread_over_its_upper_half(strikes: int) -> None:
    longest = decide(Reason.ERROR, strikes, SETTINGS, spread=1.0).delay_s
    assert decide(Reason.ERROR, strikes, SETTINGS, spread=0.0).delay_s == longest / 2
    assert longest / 2 <= decide(Reason.ERROR, strikes, SETTINGS).delay_s <= longest


@given(
    strikes=st.integers(1, 22),
    backoff_s=st.floats(0, 1e6),
    backoff_max_s=st.floats(0, 1e6),
    spread=st.floats(0, 1),
    reason=st.sampled_from(Reason),
)
def test_no_pause_is_longer_than_the_longest(
    strikes: int, backoff_s: float, backoff_max_s: float, spread: float, reason: Reason
) -> None:
    settings = Settings(max_attempts=20, backoff_s=backoff_s, backoff_max_s=backoff_max_s)
    assert 0 <= decide(reason, strikes, settings, spread=spread).delay_s <= backoff_max_s


@pytest.mark.parametrize("reason", sorted(set(Reason) - RETRYABLE))
def test_an_end_that_comes_again_is_not_retried(reason: Reason) -> None:
    assert decide(reason, 1, SETTINGS) == FAILED


def test_input_limits_cancels_and_requests_are_not_retried() -> None:
    assert {reason.value for reason in RETRYABLE} == {
        *("error", "worker_lost", "crashed", "heartbeat_lost", "storage")
    }


@pytest.mark.parametrize("reason", sorted(RETRYABLE - {Reason.WORKER_LOST}))
def test_the_last_allowed_run_is_the_last(reason: Reason) -> None:
    assert decide(reason, SETTINGS.max_attempts - 1, SETTINGS).state is TaskState.PENDING
    assert decide(reason, SETTINGS.max_attempts, SETTINGS) == FAILED


def test_a_lost_worker_is_forgiven_some_runs_more() -> None:
    allowed = SETTINGS.max_attempts + LOST_GRACE
    assert decide(Reason.WORKER_LOST, allowed - 1, SETTINGS).state is TaskState.PENDING
    assert decide(Reason.WORKER_LOST, allowed, SETTINGS) == FAILED


def test_one_attempt_means_no_retry() -> None:
    assert decide(Reason.ERROR, 1, Settings(max_attempts=1)) == FAILED


OUTAGE_S = OUTAGE_PAUSES * SETTINGS.backoff_max_s


@pytest.mark.parametrize(
    ("since_s", "pause_s"), [(0.0, 4.0), (8.0, 4.0), (20.0, 10.0), (50.0, 20.0), (119.0, 20.0)]
)
def test_an_outage_is_borne_with_pauses_that_grow_with_it(since_s: float, pause_s: float) -> None:
    told = bear(Reason.STORAGE, 1, since_s, SETTINGS, spread=1.0)
    assert told == Decision(TaskState.PENDING, pause_s, forgiven=True)


def test_an_outage_has_an_end() -> None:
    for strikes in range(1, SETTINGS.max_attempts):
        told = bear(Reason.STORAGE, strikes, OUTAGE_S, SETTINGS)
        assert (told.state, told.forgiven) == (TaskState.PENDING, False)
    assert bear(Reason.STORAGE, SETTINGS.max_attempts, OUTAGE_S, SETTINGS) == FAILED


def test_by_default_an_outage_of_an_hour_is_borne() -> None:
    assert OUTAGE_PAUSES * Settings().backoff_max_s == 3600
