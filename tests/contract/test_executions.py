"""What goes on outside of workers: rows, words and tokens, alike on both databases."""

import uuid
from collections.abc import Callable

import pytest

from pipeline.core import executions, jobs, transitions
from pipeline.core.context import Context
from pipeline.core.executions import Answer, Beat, Execution
from pipeline.core.tasks import Claim, Outcome
from pipeline.errors import NotFound
from pipeline.states import Reason, TaskState
from pipeline.store.database import dialect, execute, session, transaction
from tests.support import factories as make


def detached(context: Context, *, tasks: int = 1) -> tuple[uuid.UUID, list[Claim]]:
    """Return a job whose tasks are running on a host."""
    job_id = make.planned_job(context, tasks=tasks)
    claims = make.claimed(context, job_id)
    for claim in claims:
        placed(job_id, claim)
        executions.launched(claim.id, 1)
        assert transitions.detach(claim, holder=f"here/task-{claim.id}", lease_s=60)
    return job_id, claims


def placed(job_id: uuid.UUID, claim: Claim, host: str = "here") -> None:
    """Give the task a place."""
    with transaction():
        name = f"task-{claim.id}"
        executions.place(claim.id, job_id, claim.attempt, host=host, container=name)


def beat(task_id: uuid.UUID, run: int = 1, **told: object) -> Beat:
    """Return a heartbeat."""
    return Beat(task_id, run, "box", "running", {"percentage": 10} | told)


def completed(task_id: uuid.UUID, run: int = 1, *, success: bool = True) -> Answer:
    """Say that it is done."""
    return executions.complete(
        task_id, run, success=success, result={"n": 1}, error=None, container_name="box"
    )


# --- Silence ------------------------------------------------------------------------------------


def test_time_in_which_no_api_listened_is_no_silence(context: Context):
    _, [claim] = detached(context)

    def unheard_s() -> float:
        told = executions.get(claim.id)
        return told.age_s(told.listening_since)

    def aged(seconds: float) -> None:
        past = dialect().later(f"-{seconds}")
        with session():
            execute(f"UPDATE deployment SET listening_since = {past}")

    assert unheard_s() == 0  # Nobody has ever listened.
    executions.listening()
    aged(500)
    assert unheard_s() >= 500
    executions.listening()
    assert unheard_s() >= 500  # It goes on.
    with session():
        past = dialect().later(f"-{executions.UNHEARD_S + 1}")
        execute(f"UPDATE deployment SET listened_at = {past}")
    assert unheard_s() == 0
    executions.listening()
    assert unheard_s() < 5  # It begins anew.


# --- Leases -------------------------------------------------------------------------------------


def test_detached_task_keeps_its_lease_without_its_worker(context: Context):
    _, [claim] = detached(context)
    with session():
        [(worker, detached_at)] = execute("SELECT worker, detached_at FROM tasks")
    assert worker == f"here/task-{claim.id}"
    assert detached_at is not None
    assert transitions.renew([executions.get(claim.id)], lease_s=60) == {claim.id}


def test_lease_of_another_attempt_is_not_detached(context: Context):
    _, [claim] = detached(context)
    other = Claim(claim.id, 0, "", claim.attempt + 1, 0, 0, {})
    assert not transitions.detach(other, holder="x", lease_s=60)


def test_detached_tasks_take_no_place_in_the_window(context: Context):
    job_id, claims = detached(context, tasks=3)
    with session():
        [(held,)] = execute(
            "SELECT count(*) FROM tasks WHERE detached_at IS NOT NULL AND state = 'running'"
        )
    assert held == len(claims)
    again = make.planned_job(context, tasks=5)
    assert make.batches(again)
    assert not jobs.get(job_id).finished_at


def test_task_that_is_handed_back_is_attached_again(context: Context):
    job_id, [claim] = detached(context)
    back = Outcome(claim.id, claim.attempt, TaskState.PENDING, Reason.REMOVED, "gone", strike=True)
    transitions.close_tasks(job_id, [back], actor="monitor")
    with session():
        [(told,)] = execute("SELECT detached_at FROM tasks")
    assert told is None


# --- Heartbeats ---------------------------------------------------------------------------------


def test_heartbeat_is_noted(context: Context):
    _, [claim] = detached(context)
    [answer] = executions.beat([beat(claim.id, stage="half")])
    told = executions.get(claim.id)
    assert answer == Answer(live=True, cancel=False)
    assert (told.status, told.container_name) == ("running", "box")
    assert told.progress == {"percentage": 10, "stage": "half"}
    assert told.heartbeat_at is not None


def test_many_heartbeats_are_answered_in_order(context: Context):
    _, claims = detached(context, tasks=3)
    beats = [beat(claims[2].id), beat(uuid.uuid4()), beat(claims[0].id), beat(claims[2].id, last=1)]
    answers = executions.beat(beats)
    assert [each.live for each in answers] == [True, False, True, True]
    assert executions.get(claims[2].id).progress == {"percentage": 10, "last": 1}
    assert executions.get(claims[1].id).heartbeat_at is None


def test_heartbeat_without_progress_keeps_the_last(context: Context):
    _, [claim] = detached(context)
    executions.beat([beat(claim.id)])
    executions.beat([Beat(claim.id, 1, "box", "running", None)])
    assert executions.get(claim.id).progress == {"percentage": 10}


def _of_an_ended_run(job_id: uuid.UUID, claim: Claim) -> None:
    executions.ended(claim.id, 1, exit_code=0)


def _of_an_earlier_run(job_id: uuid.UUID, claim: Claim) -> None:
    executions.next_run(claim.id, 1)


@pytest.mark.parametrize("happened", [_of_an_ended_run, _of_an_earlier_run])
def test_late_word_changes_nothing(context: Context, happened: Callable[[uuid.UUID, Claim], None]):
    job_id, [claim] = detached(context)
    happened(job_id, claim)
    before = executions.get(claim.id)
    assert executions.beat([beat(claim.id)]) == [Answer(live=False, cancel=True)]
    assert not completed(claim.id).live
    after = executions.get(claim.id)
    assert _words(after) == _words(before) == (None, None, None, None)


def _words(told: Execution) -> tuple[object, ...]:
    return (told.heartbeat_at, told.progress, told.completed_at, told.success)


def test_cancel_is_learnt_from_the_answer(context: Context):
    job_id, [claim] = detached(context)
    jobs.cancel(job_id, actor="test")
    assert executions.beat([beat(claim.id)]) == [Answer(live=True, cancel=True)]


def test_stop_is_learnt_from_the_answer(context: Context):
    _, [claim] = detached(context)
    executions.request_stop(claim.id, 1, Reason.TIME_LIMIT)
    assert executions.beat([beat(claim.id)]) == [Answer(live=True, cancel=True)]


def test_progress_and_heartbeat_outlive_a_run(context: Context):
    job_id, [claim] = detached(context)
    executions.beat([beat(claim.id)])
    executions.ended(claim.id, 1, exit_code=1)
    placed(job_id, claim, host="there")
    told = executions.get(claim.id)
    assert (told.run, told.host, told.ended_at) == (2, "there", None)
    assert told.progress == {"percentage": 10}
    assert told.heartbeat_at is not None


def test_another_run_has_said_nothing_yet(context: Context):
    _, [claim] = detached(context)
    completed(claim.id)
    executions.request_stop(claim.id, 1, Reason.HEARTBEAT_LOST)
    assert executions.next_run(claim.id, 1) == 2
    told = executions.get(claim.id)
    assert (told.completed_at, told.success, told.result, told.error) == (None, None, None, None)
    assert (told.stop_reason, told.stop_requested_at) == (None, None)
    assert executions.beat([beat(claim.id, 2)]) == [Answer(live=True, cancel=False)]
    assert executions.complete(
        claim.id, 2, success=False, result={}, error="no", container_name="box"
    ).live


# --- Completion ---------------------------------------------------------------------------------


def test_completion_counts_once(context: Context):
    _, [claim] = detached(context)
    assert completed(claim.id).live
    assert not completed(claim.id, success=False).live
    told = executions.get(claim.id)
    assert (told.success, told.result) == (True, {"n": 1})


def test_end_is_collected_by_one(context: Context):
    _, [claim] = detached(context)
    assert executions.claim_end(claim.id, 1, lease_s=60)
    assert not executions.claim_end(claim.id, 1, lease_s=60)
    executions.release_end(claim.id, 1)
    assert executions.claim_end(claim.id, 1, lease_s=60)


def test_first_reason_of_a_stop_stands(context: Context):
    _, [claim] = detached(context)
    executions.request_stop(claim.id, 1, Reason.HEARTBEAT_LOST)
    executions.request_stop(claim.id, 1, Reason.CANCELLED)
    assert executions.get(claim.id).stop_reason == Reason.HEARTBEAT_LOST


def test_run_that_has_not_ended_is_not_called_removed(context: Context):
    _, [claim] = detached(context)
    executions.removed(claim.id, 1)
    assert executions.get(claim.id).removed_at is None


def test_slots_are_taken_until_the_container_is_removed(context: Context):
    _, claims = detached(context, tasks=2)
    executions.ended(claims[0].id, 1, exit_code=0)
    assert executions.load() == {"here": 2}
    executions.removed(claims[0].id, 1)
    assert executions.load() == {"here": 1}


def test_execution_that_is_not_there(context: Context):
    with pytest.raises(NotFound):
        executions.get(uuid.uuid4())


# --- Tokens -------------------------------------------------------------------------------------


def test_token_proves_its_run(context: Context):
    task_id = uuid.uuid4()
    assert executions.verify(executions.token(task_id, 3), task_id) == 3


def test_token_is_the_same_every_time(context: Context):
    task_id = uuid.uuid4()
    assert executions.token(task_id, 1) == executions.token(task_id, 1)


@pytest.mark.parametrize(
    "forge",
    [
        lambda right, other: "",
        lambda right, other: ".",
        lambda right, other: right[:-1],
        lambda right, other: right + "0",
        lambda right, other: right.upper(),
        lambda right, other: f"2{right[1:]}",
        lambda right, other: f"01{right[1:]}",
        lambda right, other: f"+{right}",
        lambda right, other: f"١{right[1:]}",
        lambda right, other: f"-1{right[1:]}",
        lambda right, other: f"999999{right[1:]}",
        lambda right, other: right.replace(".", ""),
        lambda right, other: right[2:],
        lambda right, other: "1.",
        lambda right, other: "1." + "0" * 40,
        lambda right, other: f" {right}",
        lambda right, other: f"{right}\n",
        lambda right, other: f"{right}\x00",
        lambda right, other: "1.\ud800",
        lambda right, other: other,
    ],
)
def test_forged_token_proves_nothing(context: Context, forge: Callable[[str, str], str]):
    task_id, other = uuid.uuid4(), uuid.uuid4()
    told = forge(executions.token(task_id, 1), executions.token(other, 1))
    assert executions.verify(told, task_id) is None
