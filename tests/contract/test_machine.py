"""The machine's promises, on SQLite and PostgreSQL alike."""

import threading
import uuid

import peewee
import pytest

from pipeline import broker
from pipeline.core import finishing, jobs, planning, runner, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import LEAST_IN_FLIGHT, dispatch
from pipeline.core.jobs import Submission
from pipeline.core.sweep import sweep
from pipeline.core.tasks import Claim, NewTask, Outcome
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.settings import Settings
from pipeline.states import JobState, Reason, TaskState
from pipeline.store.database import execute, session
from pipeline.store.models import JobRow, TaskRow
from tests.support import factories as make


def test_submitted_job_is_pending_and_rung_once(context: Context) -> None:
    job_id = make.pending_job(priority=7, owner="ann", labels={"team": "data"})
    job = jobs.get(job_id)
    assert (job.state, job.priority, job.owner) == ("pending", 7, "ann")
    assert job.labels == {"team": "data"}
    assert job.created_at.tzinfo is not None
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_same_idempotency_key_gives_the_same_job(context: Context) -> None:
    first = make.pending_job(idempotency_key="k", owner="ann")
    assert make.pending_job(idempotency_key="k", owner="ann") == first
    assert make.pending_job(idempotency_key="k", owner="bob") != first


def test_idempotency_key_with_another_deadline_is_a_conflict(context: Context) -> None:
    first = make.pending_job(idempotency_key="k", deadline_s=10)
    assert make.pending_job(idempotency_key="k", deadline_s=10) == first
    with pytest.raises(Conflict):
        make.pending_job(idempotency_key="k", deadline_s=99_999)


def test_idempotency_key_with_another_request_is_a_conflict(context: Context) -> None:
    make.pending_job(idempotency_key="k")
    with pytest.raises(Conflict):
        make.pending_job(idempotency_key="k", tasks=9)


def test_priority_beyond_nine_and_unknown_kind_are_refused(context: Context) -> None:
    with pytest.raises(Refused):
        make.pending_job(priority=10)
    with pytest.raises(Refused):
        jobs.submit(Submission(kind="no_such_kind", parameters={}))


def test_unknown_job_is_not_found(context: Context) -> None:
    with pytest.raises(NotFound):
        jobs.get(uuid.uuid4())
    with pytest.raises(NotFound):
        jobs.get("nonsense")


def test_broker_away_at_submit_keeps_the_job_for_the_sweep(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(broker, "send", lambda messages: False)
        job_id = make.pending_job()
    assert make.take_messages() == []
    sweep(context)
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_plan_inserts_tasks_and_sends_batches(context: Context) -> None:
    job_id = make.planned_job(context, tasks=5)
    job = jobs.get(job_id)
    assert (job.state, job.total, job.done) == ("running", 5, 0)
    [sent] = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    [batch] = make.batches(job_id)
    assert sent == (str(job_id), str(batch))
    assert len(make.claimed(context, job_id)) == 5


def test_plan_told_twice_inserts_once(context: Context) -> None:
    job_id = make.pending_job(tasks=5)
    planning.run_plan(job_id, context)
    planning.run_plan(job_id, context)
    assert jobs.get(job_id).total == 5
    assert len(make.task_ids(job_id)) == 5


def test_plan_killed_half_way_is_resumed_without_doubles(context: Context) -> None:
    job_id = make.pending_job(tasks=5)
    attempt = transitions.claim_job(job_id, phase="plan", worker="dead", lease_s=60)
    assert attempt == 1
    some = [NewTask(seq, f"task {seq}", 1, {}) for seq in range(2)]
    assert transitions.insert_tasks(job_id, 1, some, actor="dead") == 2
    make.let_leases_lapse()
    make.age_hints(3600)
    sweep(context)
    planning.run_plan(job_id, context)
    assert jobs.get(job_id).total == 5
    assert transitions.insert_tasks(job_id, 1, some, actor="dead") is None


def test_job_of_zero_tasks_succeeds(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    assert ("finish_job", (str(job_id),)) in make.take_messages()


def test_unreadable_source_fails_the_job_with_its_reason(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object) -> None:
        raise Refused("It is encrypted.", reason=Reason.ENCRYPTED)

    monkeypatch.setattr("tests.support.trivial.plan.plan", plan)
    job = jobs.get(make.planned_job(context))
    assert (job.state, job.reason, job.message) == ("failed", "encrypted", "It is encrypted.")


def test_claim_gives_each_task_to_one_worker(context: Context) -> None:
    job_id = make.planned_job(context, tasks=40)
    [batch] = make.batches(job_id)
    got: list[list[Claim]] = []

    def take(name: str) -> None:
        got.append(transitions.claim_tasks(job_id, batch, worker=name, lease_s=60))

    threads = [threading.Thread(target=take, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed = [claim.id for claims in got for claim in claims]
    assert len(claimed) == len(set(claimed)) == 40


def test_claim_is_known_by_its_token_to_nobody_else(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    [batch] = make.batches(job_id)
    mine = transitions.claim_tasks(job_id, batch, worker="w", lease_s=60, token="mine")
    assert transitions.claimed(job_id, batch, worker="w", token="mine") == mine
    assert transitions.claimed(job_id, batch, worker="w", token="other") == []
    assert transitions.claimed(job_id, batch, worker="w") == []
    assert transitions.claimed(job_id, uuid.uuid4(), worker="w", token="mine") == []


def test_claim_counts_the_attempt_before_the_work(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    [claim] = make.claimed(context, job_id)
    with session():
        row = TaskRow.get(TaskRow.job == job_id)
    assert (row.state, row.attempt, row.worker) == ("running", 1, "worker")
    assert row.lease_until is not None
    assert claim.attempt == 1


def test_close_is_compare_and_set(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    first, second = make.claimed(context, job_id)
    stale = Outcome(first.id, first.attempt + 1, TaskState.SUCCEEDED)
    assert not transitions.close_tasks(job_id, [stale], actor="zombie")
    assert jobs.get(job_id).done == 0
    assert not make.close(job_id, [first])
    assert not make.close(job_id, [first], TaskState.FAILED)
    assert (jobs.get(job_id).succeeded, jobs.get(job_id).failed) == (1, 0)
    assert make.close(job_id, [second])


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "failed"], "partial"),
        (["failed", "failed"], "failed"),
        (["timed_out", "timed_out"], "timed_out"),
        (["failed", "timed_out"], "failed"),
    ],
)
def test_job_ends_as_its_tasks_did(context: Context, ends: list[str], state: str) -> None:
    job_id = make.planned_job(context, tasks=2)
    claims = make.claimed(context, job_id)
    for claim, end in zip(claims, ends, strict=True):
        make.close(job_id, [claim], TaskState(end))
    job = jobs.get(job_id)
    assert job.state == state
    assert job.finished_at is not None


def test_exactly_one_of_many_closers_ends_the_job(context: Context) -> None:
    job_id = make.planned_job(context, tasks=30)
    claims = make.claimed(context, job_id)
    ended: list[bool] = []

    def close(part: list[Claim]) -> None:
        ended.append(make.close(job_id, part))
        ended.append(make.close(job_id, part))

    threads = [threading.Thread(target=close, args=(claims[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ended) == 1
    assert jobs.get(job_id).succeeded == 30 == make.recount(job_id)["succeeded"]


def test_lapsed_lease_is_a_lost_worker_and_is_retried(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    make.claimed(context, job_id)
    make.let_leases_lapse()
    assert sweep(context).lost_tasks == 1
    [claim] = make.claimed(context, job_id, worker="second")
    assert (claim.attempt, claim.strikes) == (2, 1)


def test_task_that_kills_its_worker_every_time_fails_in_the_end(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    good = make.claimed(context, job_id)[0]
    make.close(job_id, [good])
    runs = 1
    while jobs.get(job_id).state == JobState.RUNNING:
        make.let_leases_lapse()
        sweep(context)
        runs += len(make.claimed(context, job_id))
    with session():
        lost = TaskRow.get((TaskRow.job == job_id) & (TaskRow.state == "failed"))
    assert lost.reason == Reason.WORKER_LOST
    assert runs == context.settings.max_attempts + 2
    assert jobs.get(job_id).state == JobState.PARTIAL


def test_renewed_lease_is_not_taken_by_the_sweep(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    claims = make.claimed(context, job_id)
    make.let_leases_lapse()
    assert transitions.renew(claims, lease_s=60) == {claims[0].id}
    assert sweep(context).lost_tasks == 0


def test_zombie_cannot_renew_or_close_after_its_task_was_given_on(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    zombie = make.claimed(context, job_id)
    make.let_leases_lapse()
    sweep(context)
    second = make.claimed(context, job_id, worker="second")
    assert transitions.renew(zombie, lease_s=60) == set()
    assert not make.close(job_id, zombie, TaskState.FAILED)
    assert make.close(job_id, second)


def test_retried_task_is_not_due_before_its_backoff(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    [claim] = make.claimed(context, job_id)
    back = Outcome(
        claim.id, claim.attempt, TaskState.PENDING, Reason.ERROR, delay_s=3600, strike=True
    )
    transitions.close_tasks(job_id, [back], actor="worker")
    assert make.claimed(context, job_id) == []
    assert dispatch("trivial", context) == 0


def test_batch_runs_and_ends_the_job(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.work_off(job_id, context)
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    finishing.run_finish(job_id, context)
    job = jobs.get(job_id)
    assert job.finalized_at is not None
    assert job.result == {"done": 3}


def test_message_about_a_job_that_is_gone_does_nothing(context: Context) -> None:
    gone = uuid.uuid4()
    runner.run_batch(gone, uuid.uuid4(), context)
    planning.run_plan(gone, context)
    finishing.run_finish(gone, context)
    assert make.take_messages() == []


def test_finish_told_twice_writes_once(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    for _ in range(3):
        finishing.run_finish(job_id, context)
    written = [event for event in jobs.events(job_id) if event["message"] == "reports written"]
    assert len(written) == 1


def test_lost_finish_message_is_sent_again(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    make.take_messages()
    sweep(context)
    assert make.take_messages() == []
    make.age_hints(3600)
    sweep(context)
    assert make.take_messages() == [("finish_job", (str(job_id),))]


def test_lost_hint_is_sent_again(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.take_messages()
    assert sweep(context).lost_hints == 0
    make.age_hints(3600)
    assert sweep(context).lost_hints == 3
    [batch] = make.batches(job_id)
    assert make.take_messages() == [("work_trivial", (str(job_id), str(batch)))]
    assert len(make.claimed(context, job_id)) == 3


def test_cancel_closes_pending_at_once_and_running_at_their_next_step(context: Context) -> None:
    single = Context(context.settings.model_copy(update={"batch_tasks": 1}), context.blobs)
    job_id = make.planned_job(single, tasks=3)
    first, *_ = make.batches(job_id)
    held = transitions.claim_tasks(job_id, first, worker="worker", lease_s=60)
    assert jobs.cancel(job_id, actor="ann")
    assert make.recount(job_id) == {"cancelled": 2, "running": 1}
    assert not jobs.cancel(job_id, actor="ann")
    assert make.close(job_id, held, TaskState.CANCELLED)
    job = jobs.get(job_id)
    assert (job.state, job.reason) == ("cancelled", "cancelled")


def test_cancelled_task_is_not_retried(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    [claim] = make.claimed(context, job_id)
    jobs.cancel(job_id, actor="ann")
    back = Outcome(claim.id, claim.attempt, TaskState.PENDING, Reason.ERROR)
    transitions.close_tasks(job_id, [back], actor="worker")
    assert make.claimed(context, job_id) == []
    sweep(context)
    assert jobs.get(job_id).state == JobState.CANCELLED


def test_cancel_before_the_plan_ends_the_job(context: Context) -> None:
    job_id = make.pending_job()
    assert jobs.cancel(job_id, actor="ann")
    assert jobs.get(job_id).state == JobState.CANCELLED
    planning.run_plan(job_id, context)
    assert make.task_ids(job_id) == []


def test_passed_deadline_times_the_job_out(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2, deadline_s=3600)
    with session():
        execute("UPDATE jobs SET deadline_at = created_at")
    assert make.claimed(context, job_id) == []
    sweep(context)
    job = jobs.get(job_id)
    assert (job.state, job.reason, job.timed_out) == ("timed_out", "deadline", 2)


def test_window_bounds_what_is_in_flight(context: Context) -> None:
    small = context.settings.model_copy(update={"batch_tasks": 2, "window": 3})
    narrow = Context(small, context.blobs)
    job_id = make.planned_job(narrow, tasks=100)
    sent = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    assert sent == [(str(job_id), str(batch)) for batch in make.batches(job_id)]
    assert len(sent) == 3
    assert len(make.claimed(narrow, job_id)) == 6
    assert dispatch("trivial", narrow) == 0


def test_small_job_is_served_before_the_rest_of_a_big_one(context: Context) -> None:
    narrow = Context(
        context.settings.model_copy(update={"batch_tasks": 2, "window": 2}), context.blobs
    )
    big = make.planned_job(narrow, tasks=100)
    batches = make.batches(big)
    make.take_messages()
    small = make.planned_job(narrow, tasks=2)
    assert [args for actor, args in make.take_messages() if actor == "work_trivial"] == []
    runner.run_batch(big, batches[0], narrow)
    [sent] = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    assert sent[0] == str(small)


def test_small_job_among_others_takes_one_slot(context: Context) -> None:
    """Each of its batches would wait for a slot of its own behind theirs."""
    sized = {"batch_bytes": 100, "window": 4}
    narrow = Context(context.settings.model_copy(update=sized), context.blobs)
    big = make.planned_job(narrow, tasks=1000)
    batches = make.batches(big)
    make.take_messages()
    small = make.planned_job(narrow, tasks=60)
    runner.run_batch(big, batches[0], narrow)
    [sent] = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    assert sent[0] == str(small)
    assert len(make.claimed(narrow, small)) == 60


def test_what_is_in_flight_follows_what_is_in_work(context: Context) -> None:
    told = {"batch_tasks": 2, "window": 0, "broker_url": "amqp://nobody/"}
    free = Context(context.settings.model_copy(update=told), context.blobs)
    job_id = make.planned_job(free, tasks=100)
    assert len(make.batches(job_id)) == LEAST_IN_FLIGHT
    assert make.claimed(free, job_id)
    assert dispatch("trivial", free) == LEAST_IN_FLIGHT
    assert dispatch("trivial", free) == 0


def test_higher_priority_goes_first(context: Context) -> None:
    narrow = Context(
        context.settings.model_copy(update={"batch_tasks": 2, "window": 1}), context.blobs
    )
    running = make.planned_job(narrow, tasks=2)
    [batch] = make.batches(running)
    make.planned_job(narrow, tasks=2, priority=1)
    urgent = make.planned_job(narrow, tasks=2, priority=9)
    make.take_messages()
    runner.run_batch(running, batch, narrow)
    sent = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    assert sent[0][0] == str(urgent)


def test_struck_task_goes_alone(context: Context) -> None:
    job_id = make.planned_job(context, tasks=5)
    make.claimed(context, job_id)
    make.let_leases_lapse()
    make.take_messages()
    sweep(context)
    sent = [args for actor, args in make.take_messages() if actor == "work_trivial"]
    assert len(sent) == 4  # the window
    assert len(make.claimed(context, job_id)) == 4


def test_retry_is_a_new_job_of_the_same_request(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    again = jobs.get(jobs.retry(job_id, Settings(), actor="ann"))
    assert again.state == JobState.PENDING
    assert again.labels["retry_of"] == str(job_id)
    with pytest.raises(Refused):
        jobs.retry(again.id, Settings(), actor="ann")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET state = 'running', worker = 'x', lease_until = not_before,"
        " finished_at = NULL",
        "UPDATE tasks SET state = 'pending', finished_at = NULL",
        "UPDATE tasks SET state = 'nonsense'",
        "UPDATE tasks SET finished_at = NULL",
        "UPDATE jobs SET state = 'running', finished_at = NULL",
        "UPDATE jobs SET succeeded = succeeded + 1",
        "UPDATE jobs SET priority = 11",
        "UPDATE jobs SET finished_at = NULL",
    ],
)
def test_database_refuses_illegal_moves(context: Context, statement: str) -> None:
    job_id = make.planned_job(context, tasks=2)
    make.close(job_id, make.claimed(context, job_id))
    with session(), pytest.raises(peewee.DatabaseError):
        execute(statement)


def test_every_transition_leaves_an_event(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    make.work_off(job_id, context)
    moves = [
        (event["subject"], event["from_state"], event["to_state"]) for event in jobs.events(job_id)
    ]
    assert moves == [
        ("job", None, "pending"),
        ("job", "pending", "running"),
        ("tasks", None, "pending"),
        ("tasks", "pending", "running"),
        ("tasks", "running", "succeeded"),
        ("job", "running", "succeeded"),
    ]
    assert [event["tasks"] for event in jobs.events(job_id)][2:5] == [[[0, 1]]] * 3


def test_messages_with_hostile_characters_are_stored(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    [claim] = make.claimed(context, job_id)
    text = "a\0b\ud800c" + "x" * 5000
    told = Outcome(claim.id, 1, TaskState.FAILED, Reason.ERROR, text)
    transitions.close_tasks(job_id, [told], actor="worker")
    [task] = jobs.tasks(job_id)
    assert task["message"].startswith("a\ufffdb?c")
    assert len(task["message"]) <= 2000


def test_counters_equal_a_recount(context: Context) -> None:
    job_id = make.planned_job(context, tasks=20)
    claims = make.claimed(context, job_id)
    make.close(job_id, claims[:5], TaskState.FAILED)
    make.close(job_id, claims[3:12])
    jobs.cancel(job_id, actor="ann")
    make.close(job_id, claims, TaskState.CANCELLED)
    job = jobs.get(job_id)
    counted = make.recount(job_id)
    assert counted == {"failed": 5, "succeeded": 7, "cancelled": 8}
    assert {state: getattr(job, state) for state in counted} == counted
    with session():
        assert JobRow.get(JobRow.id == job_id).state == JobState.CANCELLED
