"""What follows from what a host says of a container."""

from dataclasses import replace

import pytest

from pipeline.kinds.container.ending import COMPLETED
from pipeline.kinds.container.watching import Step, silent_s, step_of, why_stop
from pipeline.states import Reason
from tests.unit.kinds.container import kit

RUNNING = kit.seen(state="running", exit_code=None, finished_at=None)
CREATED = kit.seen(state="created", exit_code=None, finished_at=None)


@pytest.mark.parametrize(
    ("execution", "seen", "step"),
    [
        ({}, RUNNING, Step.KEEP),
        ({}, kit.seen(state="paused", exit_code=None), Step.KEEP),
        ({}, kit.seen(), Step.COLLECT),
        ({}, kit.seen(state="dead"), Step.COLLECT),
        ({}, None, Step.COLLECT),
        ({}, CREATED, Step.WAIT),
        ({"launched_at": None}, None, Step.WAIT),
        ({"launched_at": None}, CREATED, Step.WAIT),
        # Its task ended, by a cancel or with its host.
        ({"state": "cancelled"}, RUNNING, Step.COLLECT),
        ({"state": "failed", "ended_at": kit.ago(5)}, RUNNING, Step.COLLECT),
        ({"state": "succeeded", "ended_at": kit.ago(5)}, None, Step.COLLECT),
        # Its task waits for another run.
        ({"state": "pending", "ended_at": kit.ago(5)}, kit.seen(), Step.COLLECT),
        ({"state": "pending"}, RUNNING, Step.WAIT),
        ({"task_attempt": 2}, RUNNING, Step.WAIT),
    ],
)
def test_step(execution, seen, step):
    assert step_of(kit.execution(**execution), seen) is step


@pytest.mark.parametrize(
    ("execution", "task", "why"),
    [
        ({}, {}, None),
        ({"cancel_requested": True}, {}, Reason.CANCELLED),
        ({"is_late": True}, {}, Reason.DEADLINE),
        ({}, {"timeout_s": 59}, Reason.TIME_LIMIT),
        ({}, {"timeout_s": 61}, None),
        ({}, {"heartbeat_timeout_s": 59}, Reason.HEARTBEAT_LOST),
        ({"heartbeat_at": kit.ago(58)}, {"heartbeat_timeout_s": 59}, None),
        ({"heartbeat_at": kit.ago(900)}, {"heartbeat_timeout_s": 90}, None),
        ({"completed_at": kit.ago(31)}, {}, COMPLETED),
        ({"completed_at": kit.ago(29)}, {"heartbeat_timeout_s": 1}, None),
        # A stop that was asked for is asked for again, once its grace is long over.
        ({"stop_reason": "cancelled", "stop_requested_at": kit.ago(29)}, {}, None),
        ({"stop_reason": "cancelled", "stop_requested_at": kit.ago(31)}, {}, Reason.CANCELLED),
        ({"stop_reason": "time_limit", "stop_requested_at": kit.ago(9)}, {"timeout_s": 1}, None),
        ({"stop_reason": "x", "stop_requested_at": kit.ago(31)}, {"stop_grace_s": 20}, None),
    ],
)
def test_stop(execution, task, why):
    assert why_stop(kit.execution(**execution), kit.task(**task)) == why


def test_heartbeats_of_an_earlier_run_do_not_count():
    assert silent_s(kit.execution(heartbeat_at=kit.ago(500))) == 60
    assert silent_s(kit.execution(heartbeat_at=kit.ago(20))) == 20


def test_time_in_which_nobody_listened_is_no_silence():
    run = kit.execution(heartbeat_at=kit.ago(500), launched_at=kit.ago(900))
    assert silent_s(run) == 500
    assert silent_s(replace(run, listening_since=kit.ago(5))) == 5
