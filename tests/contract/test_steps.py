"""Tasks that need others: none runs early, none twice, none is forgotten, on both databases."""

import random
import threading
import uuid
from typing import Any

import pytest

from pipeline.core import jobs, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.fsck import fsck
from pipeline.core.sweep import sweep
from pipeline.core.tasks import Claim
from pipeline.states import Reason, TaskState
from pipeline.store.database import execute, session
from tests.support import factories as make

GOOD, BAD = TaskState.SUCCEEDED, TaskState.FAILED


def steps(context: Context, tasks: int, needs: dict[int, list[int]], **told: Any) -> uuid.UUID:
    """Plan a job of so many tasks that need one another."""
    return make.planned_job(context, tasks=tasks, parameters={"needs": needs, **told})


def begun(context: Context, job_id: uuid.UUID) -> dict[int, Claim]:
    """Send and lease what is due; return it by its place."""
    dispatch("trivial", context)
    return {claim.seq: claim for claim in make.claimed(context, job_id)}


def states(job_id: uuid.UUID) -> dict[int, tuple[str, str | None]]:
    """Return state and reason of every task, by its place."""
    return {task["seq"]: (task["state"], task["reason"]) for task in jobs.tasks(job_id)}


def test_task_is_not_sent_before_its_needs_succeeded(context: Context) -> None:
    job_id = steps(context, 3, {2: [0, 1]})
    first = begun(context, job_id)
    assert sorted(first) == [0, 1]
    make.close(job_id, [first[0]])
    assert begun(context, job_id) == {}
    make.close(job_id, [first[1]])
    last = begun(context, job_id)
    assert sorted(last) == [2]
    assert make.close(job_id, [last[2]])
    assert jobs.get(job_id).state == "succeeded"


def test_need_that_is_tried_again_has_not_ended(context: Context) -> None:
    job_id = steps(context, 2, {1: [0]})
    make.close(job_id, list(begun(context, job_id).values()), TaskState.PENDING)
    assert sorted(begun(context, job_id)) == [0]


def test_what_needs_a_task_that_ended_badly_is_cancelled_with_all_that_needs_that(
    context: Context,
) -> None:
    job_id = steps(context, 5, {1: [0], 2: [1], 3: [2], 4: []})
    first = begun(context, job_id)
    assert sorted(first) == [0, 4]
    assert not make.close(job_id, [first[0]], BAD)
    assert make.close(job_id, [first[4]])
    skipped = ("cancelled", "need_failed")
    assert states(job_id) == {
        **{0: ("failed", "error"), 1: skipped, 2: skipped, 3: skipped},
        4: ("succeeded", None),
    }
    messages = [task["message"] for task in jobs.tasks(job_id)]
    assert messages[1] == "It needs the step task 0, which did not succeed."
    job = jobs.get(job_id)
    assert (job.state, job.failed, job.cancelled, job.succeeded) == ("partial", 1, 3, 1)


def test_job_of_which_all_waits_in_vain_has_the_reason_of_what_failed(context: Context) -> None:
    job_id = steps(context, 2, {1: [0]})
    assert make.close(job_id, list(begun(context, job_id).values()), BAD)
    job = jobs.get(job_id)
    assert (job.state, job.reason) == ("failed", "error")


def test_task_that_runs_always_waits_for_the_end_only(context: Context) -> None:
    job_id = steps(context, 3, {1: [0], 2: [1]}, always=[2])
    make.close(job_id, list(begun(context, job_id).values()), BAD)
    assert states(job_id)[1] == ("cancelled", "need_failed")
    last = begun(context, job_id)
    assert sorted(last) == [2]
    assert make.close(job_id, list(last.values()))


def test_bad_end_of_a_task_that_stops_the_job_cancels_all_that_is_pending(
    context: Context,
) -> None:
    job_id = steps(context, 4, {3: [1]}, stops=[0], always=[3])
    first = begun(context, job_id)
    make.close(job_id, [first[0]], BAD)
    assert states(job_id)[3] == ("cancelled", "need_failed")
    assert make.close(job_id, [first[1], first[2]])
    assert jobs.get(job_id).state == "partial"


def test_task_that_stops_the_job_and_succeeds_stops_nothing(context: Context) -> None:
    job_id = steps(context, 2, {1: [0]}, stops=[0])
    make.close(job_id, list(begun(context, job_id).values()))
    assert sorted(begun(context, job_id)) == [1]


def test_need_that_had_succeeded_when_it_was_inserted_is_open_no_more(context: Context) -> None:
    from pipeline.core.tasks import NewTask

    job_id = make.pending_job(tasks=0)
    attempt = transitions.claim_job(job_id, phase="plan", worker="worker", lease_s=60)
    assert attempt is not None
    tasks = [
        NewTask(0, "a", 1, {}, state=TaskState.SUCCEEDED, reason=Reason.REUSED),
        NewTask(1, "b", 1, {}, needs=(0,)),
    ]
    assert transitions.insert_tasks(job_id, attempt, tasks, actor="worker") == 2
    assert transitions.insert_tasks(job_id, attempt, tasks, actor="worker") == 0
    assert sorted(begun(context, job_id)) == [1]


def test_lost_worker_of_a_need_is_the_sweeps_to_tell(context: Context) -> None:
    job_id = steps(context, 2, {1: [0]})
    for _ in range(20):
        if not begun(context, job_id):
            break
        make.let_leases_lapse()
        sweep(context)
        with session():
            execute(
                "UPDATE tasks SET not_before = created.at FROM (SELECT min(not_before) AS at"
                " FROM tasks) AS created WHERE state = 'pending'"
            )
    assert states(job_id) == {0: ("failed", "worker_lost"), 1: ("cancelled", "need_failed")}
    assert jobs.get(job_id).state == "failed"


def test_cancelled_job_leaves_no_task_waiting(context: Context) -> None:
    job_id = steps(context, 3, {1: [0], 2: [1]})
    first = begun(context, job_id)
    jobs.cancel(job_id, actor="ann")
    assert [states(job_id)[seq][0] for seq in (1, 2)] == ["cancelled", "cancelled"]
    assert make.close(job_id, list(first.values()), TaskState.CANCELLED)
    assert fsck(context).clean


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_ends_gives_what_a_model_says(context: Context, seed: int) -> None:
    chance = random.Random(seed)
    tasks = chance.randint(5, 25)
    needs = {
        seq: chance.sample(range(seq), min(seq, chance.randint(0, 3))) for seq in range(1, tasks)
    }
    always = [seq for seq in range(tasks) if chance.random() < 0.3]
    bad = {seq for seq in range(tasks) if chance.random() < 0.3}
    job_id = steps(context, tasks, needs, always=always)
    open_claims = begun(context, job_id)
    ran: list[int] = []
    while open_claims:
        some = chance.sample(sorted(open_claims), chance.randint(1, len(open_claims)))
        for seq in some:
            claim = open_claims.pop(seq)
            done = states(job_id)
            assert all(done[need][0] not in ("pending", "running") for need in needs.get(seq, []))
            make.close(job_id, [claim], BAD if seq in bad else GOOD)
            # Told twice.
            make.close(job_id, [claim], GOOD)
            ran.append(seq)
        open_claims |= begun(context, job_id)
    good: set[int] = set()
    for seq in range(tasks):
        runs = seq in always or good.issuperset(needs.get(seq, []))
        assert (seq in ran) == runs
        if runs and seq not in bad:
            good.add(seq)
    assert len(ran) == len(set(ran))
    assert {seq for seq, (state, _) in states(job_id).items() if state == "succeeded"} == good
    assert jobs.get(job_id).finished_at is not None
    assert fsck(context).clean


def test_needs_that_end_at_the_same_time_let_go_once(context: Context) -> None:
    job_id = steps(context, 9, {8: list(range(8))})
    first = begun(context, job_id)
    assert len(first) == 8
    at_once = threading.Barrier(8)

    def end(claim: Claim) -> None:
        at_once.wait()
        make.close(job_id, [claim])

    threads = [threading.Thread(target=end, args=(claim,)) for claim in first.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(begun(context, job_id)) == [8]


def test_fsck_finds_and_mends_a_task_that_waits_in_vain(context: Context) -> None:
    job_id = steps(context, 2, {1: [0]})
    make.close(job_id, list(begun(context, job_id).values()))
    with session():
        execute("UPDATE tasks SET open_needs = 1 WHERE job_id = %s AND seq = 1", job_id.hex)
    assert begun(context, job_id) == {}
    assert fsck(context).wrong_needs == 1
    assert fsck(context, repair=True).repaired >= 1
    assert fsck(context).clean
    assert sorted(begun(context, job_id)) == [1]
