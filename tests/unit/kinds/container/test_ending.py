"""Every end of a container is one state and one reason."""

import pytest

from pipeline.kinds.container.ending import COMPLETED, end_of
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState
from tests.unit.kinds.container import kit

SETTINGS = Settings(backoff_s=8, backoff_max_s=60)
FAILED, PENDING = TaskState.FAILED, TaskState.PENDING


def end(seen=None, *, execution=None, host=None, **told):
    """Return the end of a task that may run once."""
    return end_of(
        seen,
        execution or kit.execution(),
        kit.task(**{"max_attempts": 1, **told}),
        host or kit.host(),
        SETTINGS,
    )


@pytest.mark.parametrize(
    ("seen", "state", "reason"),
    [
        ({"exit_code": 0}, TaskState.SUCCEEDED, None),
        ({"exit_code": 0, "oom_killed": True}, TaskState.SUCCEEDED, None),
        ({"exit_code": 1}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 3}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 125}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 126}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 127}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 128}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 255}, FAILED, Reason.EXIT_CODE),
        ({"exit_code": 137}, FAILED, Reason.KILLED),
        ({"exit_code": 143}, FAILED, Reason.KILLED),
        ({"exit_code": 130}, FAILED, Reason.KILLED),
        ({"exit_code": 137, "oom_killed": True}, FAILED, Reason.OUT_OF_MEMORY),
        ({"exit_code": 1, "oom_killed": True}, FAILED, Reason.OUT_OF_MEMORY),
        ({"exit_code": 139}, FAILED, Reason.CRASHED),
        ({"exit_code": 134}, FAILED, Reason.CRASHED),
    ],
)
def test_exit_code_has_a_state_and_a_reason(seen, state, reason):
    told = end(kit.seen(**seen))
    assert (told.state, told.reason) == (state, reason)
    assert bool(told.message) == (reason is not None or bool(seen.get("oom_killed")))


def test_collector_that_is_ended_from_outside_runs_again_whatever_it_said():
    execution = kit.execution(success=False, error="stopped: 3 of 9")
    told = end(kit.seen(exit_code=143), execution=execution, max_attempts=3)
    assert (told.state, told.reason) == (TaskState.PENDING, Reason.KILLED)
    assert "stopped: 3 of 9" in told.message


def test_removed_from_outside():
    assert end(None).reason is Reason.REMOVED


@pytest.mark.parametrize(
    ("stop", "state", "reason"),
    [
        (Reason.CANCELLED, TaskState.CANCELLED, Reason.CANCELLED),
        (Reason.DEADLINE, TaskState.TIMED_OUT, Reason.DEADLINE),
        (Reason.TIME_LIMIT, TaskState.TIMED_OUT, Reason.TIME_LIMIT),
        (Reason.HEARTBEAT_LOST, FAILED, Reason.HEARTBEAT_LOST),
        (Reason.KILLED, FAILED, Reason.ERROR),
    ],
)
@pytest.mark.parametrize("code", [0, 137, 143])
def test_stop_of_ours_explains_the_end(stop, state, reason, code):
    told = end(kit.seen(exit_code=code), execution=kit.execution(stop_reason=str(stop)))
    assert (told.state, told.reason) == (state, reason)


def test_container_that_lingers_after_its_word_ends_as_it_said():
    for success, state in ((True, TaskState.SUCCEEDED), (False, FAILED)):
        execution = kit.execution(stop_reason=COMPLETED, success=success, completed_at=kit.NOW)
        assert end(kit.seen(exit_code=137), execution=execution).state is state


def test_word_of_failure_counts_beside_exit_code_0():
    told = end(kit.seen(), execution=kit.execution(success=False, error="no such table"))
    assert (told.state, told.reason, told.message) == (FAILED, Reason.ERROR, "no such table")


def test_word_of_success_does_not_hide_an_exit_code():
    told = end(kit.seen(exit_code=1), execution=kit.execution(success=True))
    assert (told.state, told.reason) == (FAILED, Reason.EXIT_CODE)


@pytest.mark.parametrize("seen", [None, kit.seen(exit_code=137), kit.seen(exit_code=139)])
def test_lost_run_is_followed_by_another(seen):
    told = end(seen, max_attempts=3)
    assert told.state is PENDING
    assert 4 <= told.delay_s <= 8


def test_lost_runs_are_counted():
    assert end(None, execution=kit.execution(strikes=2), max_attempts=3).state is FAILED


def test_exit_code_is_an_answer():
    assert end(kit.seen(exit_code=3), max_attempts=3).state is FAILED


def test_exit_code_that_another_run_may_mend():
    assert end(kit.seen(exit_code=3), max_attempts=3, retry_exit_codes=[3]).state is PENDING


@pytest.mark.parametrize("stop", [Reason.CANCELLED, Reason.DEADLINE, Reason.TIME_LIMIT])
def test_stopped_task_is_not_retried(stop):
    execution = kit.execution(stop_reason=str(stop))
    assert end(None, execution=execution, max_attempts=9).state is not PENDING


def test_container_that_went_with_its_host():
    host = kit.host(came_back_at=kit.ago(0))
    assert end(kit.seen(exit_code=137), host=host).reason is Reason.HOST_LOST
    assert end(kit.seen(exit_code=1), host=host).reason is Reason.EXIT_CODE
    long_ago = kit.host(came_back_at=kit.ago(3600))
    assert end(kit.seen(exit_code=137), host=long_ago).reason is Reason.KILLED
