"""The rollup: how a job ended, from how its tasks did."""

import pytest

from pipeline.core.rollup import END_REASONS, ENDED, broken_off, end_state
from pipeline.states import TERMINAL_JOB, TERMINAL_TASK, JobState, Reason


def counts(succeeded: int = 0, failed: int = 0, timed_out: int = 0, cancelled: int = 0) -> dict:
    return {
        **{"succeeded": succeeded, "failed": failed},
        **{"timed_out": timed_out, "cancelled": cancelled},
    }


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        (counts(), JobState.SUCCEEDED),
        (counts(succeeded=3), JobState.SUCCEEDED),
        (counts(failed=3), JobState.FAILED),
        (counts(timed_out=3), JobState.TIMED_OUT),
        (counts(cancelled=3), JobState.CANCELLED),
        (counts(succeeded=2, failed=1), JobState.PARTIAL),
        (counts(succeeded=2, timed_out=1), JobState.PARTIAL),
        (counts(succeeded=2, cancelled=1), JobState.PARTIAL),
        (counts(failed=2, timed_out=1), JobState.FAILED),
        (counts(failed=1, cancelled=2), JobState.FAILED),
        (counts(timed_out=1, cancelled=1), JobState.FAILED),
        (counts(succeeded=1, failed=1, timed_out=1, cancelled=1), JobState.PARTIAL),
    ],
)
def test_a_job_ends_as_its_tasks_did(ended: dict[str, int], state: JobState) -> None:
    assert end_state(ended) is state


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        (counts(), JobState.SUCCEEDED),
        (counts(succeeded=3), JobState.SUCCEEDED),
        (counts(succeeded=2, failed=1), JobState.PARTIAL),
        (counts(succeeded=2, cancelled=1), JobState.CANCELLED),
        (counts(failed=2, cancelled=1), JobState.CANCELLED),
        (counts(timed_out=2, cancelled=1), JobState.CANCELLED),
    ],
)
def test_a_cancel_counts_when_it_stopped_a_task(ended: dict[str, int], state: JobState) -> None:
    assert end_state(ended, cancelled=True) is state
    assert end_state(ended, cancelled=True, late=True) is state


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        (counts(succeeded=3), JobState.SUCCEEDED),
        (counts(succeeded=2, failed=1), JobState.PARTIAL),
        (counts(succeeded=2, timed_out=1), JobState.TIMED_OUT),
        (counts(failed=2, timed_out=1), JobState.TIMED_OUT),
    ],
)
def test_a_passed_deadline_counts_when_it_stopped_a_task(
    ended: dict[str, int], state: JobState
) -> None:
    assert end_state(ended, late=True) is state


@pytest.mark.parametrize(
    ("reason", "ended", "state"),
    [
        (Reason.CANCELLED, counts(succeeded=2), JobState.CANCELLED),
        (Reason.DEADLINE, counts(succeeded=2), JobState.TIMED_OUT),
        (Reason.CORRUPT, counts(succeeded=2), JobState.PARTIAL),
        (Reason.CORRUPT, counts(failed=2), JobState.FAILED),
        (Reason.CORRUPT, counts(), JobState.FAILED),
        (Reason.WORKER_LOST, counts(succeeded=1, failed=1), JobState.PARTIAL),
    ],
)
def test_a_job_whose_plan_broke_off_never_succeeded(
    reason: Reason, ended: dict[str, int], state: JobState
) -> None:
    assert broken_off(reason, ended) is state


def test_every_end_of_a_task_is_counted() -> None:
    assert set(ENDED) == set(TERMINAL_TASK)


def test_every_bad_end_of_a_whole_job_has_a_reason() -> None:
    assert set(END_REASONS) == TERMINAL_JOB - {JobState.SUCCEEDED, JobState.PARTIAL}
