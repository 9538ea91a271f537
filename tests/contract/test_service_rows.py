"""What services keep in rows, on each database: runs, offers, and room for calls."""

import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from actors import service as actors
from pipeline import broker
from pipeline.core import documents, jobs, planning, runner, transitions
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.tasks import Claim
from pipeline.kinds.service import Limits, accounts, collectors, finish, offers, registry, slots
from pipeline.kinds.service.accounts import Account, Before
from pipeline.kinds.service.registry import Offer
from pipeline.kinds.service.spec import ServiceParameters
from pipeline.states import Reason, TaskState
from pipeline.store.database import dialect, execute, session
from tests.support import factories as make
from tests.support import offers as services
from tests.support.waiting import eventually

CALL = {"mode": "test", "service": "any", "task": "echo"}


def planned(context: Context, **told: Any) -> uuid.UUID:
    """Submit a job of calls and plan it."""
    job_id = jobs.submit(Submission(kind="service", parameters={**CALL, **told}))
    planning.run_plan(job_id, context)
    return job_id


def claimed(context: Context, number: int) -> list[Claim]:
    """Return so many claims of one job."""
    wide = context.settings.model_copy(update={"window": number})
    job_id = planned(replace(context, settings=wide), inputs=[{}] * number)
    claims = sorted(make.claimed(context, job_id), key=lambda claim: claim.seq)
    assert len(claims) == number
    return claims


def offer(**limits: Any) -> Offer:
    return Offer("test", "limited", services.AnyService, limits=Limits(**limits))


def let_slots_lapse() -> None:
    with session():
        execute(f"UPDATE service_slots SET lease_until = {dialect().later('-1')}")


def test_message_that_comes_twice_makes_no_call_again(context: Context) -> None:
    services.TextService()
    job_id = planned(context, input={"a": 1})
    [batch] = make.batches(job_id)
    runner.run_batch(job_id, batch, context)
    runner.run_batch(job_id, batch, context)
    [task] = jobs.tasks(job_id)
    assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert finish.result(jobs.get(job_id))["result"]["input"] == {"a": 1}


def test_largest_of_what_is_due_of_a_job_goes_first_whatever_its_place(context: Context) -> None:
    narrow = context.settings.model_copy(update={"window": 1, "batch_bytes": 1})
    job_id = jobs.submit(
        Submission(kind="service", parameters={**CALL, "inputs": [{}, {"a": "x" * 99}, {}]})
    )
    planning.run_plan(job_id, replace(context, settings=narrow))
    [claim] = make.claimed(context, job_id)
    assert claim.seq == 1


def test_run_that_lost_its_task_writes_nothing(context: Context) -> None:
    [claim] = claimed(context, 1)
    mine = Account(claim, user_id="ann", step=1, before=Before())
    mine.note("partial", "a\0b\ud800")
    accounts.write([mine])
    job_id = jobs.listed()[0].id
    with session():
        assert execute("SELECT partial, checkpoint FROM service_runs") == [("a\ufffdb?", None)]
    make.let_leases_lapse()
    transitions.close_tasks(
        job_id, [make.outcome(claim, TaskState.PENDING)], actor="x", lapsed_only=True
    )
    mine.note("partial", "late")
    accounts.write([mine])
    with session():
        assert execute("SELECT partial FROM service_runs") == [("a\ufffdb?",)]


def test_next_run_gets_the_checkpoint_and_goes_on_counting(context: Context) -> None:
    [claim] = claimed(context, 1)
    mine = Account(claim, user_id="ann", step=1, before=Before())
    mine.note("checkpoint", '{"step":3}')
    mine.note("model", {"model": "m", "input": 5, "output": 1})
    accounts.write([mine])
    mine.note("progress", {"fraction": 0.5, "message": ""})
    accounts.write([mine])
    again = Claim(claim.id, 0, "", claim.attempt + 1, 1, 0, {})
    known = accounts.before([again])[claim.id]
    assert known.checkpoint == {"step": 3}
    second = Account(again, user_id="ann", step=1, before=known)
    second.note("model", {"model": "m", "input": 1, "output": 1})
    record = second.record()
    assert record["runs"] == 2
    assert record["models"] == {"m": {"calls": 2, "input_tokens": 6, "output_tokens": 2}}


def test_record_counts_so_many_models_by_name_and_the_others_together(context: Context) -> None:
    [claim] = claimed(context, 1)
    mine = Account(claim, user_id="", step=1, before=Before(), mode="chat", service="a")
    for number in range(accounts.MOST_MODELS + 2):
        mine.note("model", {"model": f"m\0{number}", "input": 1, "output": 2})
    record = mine.record()
    assert (record["mode"], record["service"]) == ("chat", "a")
    assert len(record["models"]) == accounts.MOST_MODELS + 1
    assert record["models"]["other"] == {"calls": 2, "input_tokens": 2, "output_tokens": 4}
    assert "m\ufffd0" in record["models"]


def test_partial_output_keeps_its_end(context: Context) -> None:
    [claim] = claimed(context, 1)
    mine = Account(claim, user_id="", step=1, before=Before())
    for _ in range(3):
        mine.note("partial", "x" * (accounts.MOST_PARTIAL - 10))
    mine.note("partial", "the end")
    row = mine.row()
    assert row["partial"].endswith("the end")
    assert len(row["partial"]) == accounts.MOST_PARTIAL
    assert row["partial_from"] + len(row["partial"]) == 3 * (accounts.MOST_PARTIAL - 10) + 7


def test_slots_are_given_taken_back_and_lapse(context: Context) -> None:
    narrow = offer(concurrency=2)
    claims = claimed(context, 4)
    room = slots.take(narrow, claims, lease_s=60)
    assert list(room.granted) == [claim.id for claim in claims[:2]]
    assert room.wait_s > 0
    assert slots.take(narrow, claims[2:], lease_s=60).granted == {}
    slots.release(claims[:1])
    assert list(slots.take(narrow, claims[2:], lease_s=60).granted) == [claims[2].id]
    let_slots_lapse()
    assert list(slots.take(narrow, claims[3:], lease_s=60).granted) == [claims[3].id]
    with session():
        assert execute("SELECT count(*) FROM service_slots") == [(1,)]


def test_slot_of_a_later_run_is_not_given_back_by_an_earlier_one(context: Context) -> None:
    narrow = offer(concurrency=1)
    [claim] = claimed(context, 1)
    slots.take(narrow, [claim], lease_s=60)
    later = Claim(claim.id, 0, "", claim.attempt + 1, 0, 0, {})
    assert slots.take(narrow, [later], lease_s=60).granted
    slots.release([claim])
    with session():
        assert execute("SELECT attempt FROM service_slots") == [(later.attempt,)]


def test_who_waits_longest_is_woken_first(context: Context) -> None:
    narrow = offer(concurrency=1)
    claims = claimed(context, 3)
    job_id = jobs.listed()[0].id
    slots.take(narrow, claims[:1], lease_s=60)
    for number, claim in enumerate(claims[1:], 1):
        assert slots.wait(narrow, [claim]) == number
        told = make.outcome(claim, TaskState.PENDING, delay_s=600)
        transitions.close_tasks(job_id, [told], actor="worker")
    assert slots.wake(narrow) == set()
    slots.release(claims[:1])
    assert slots.wake(narrow) == {"service"}
    with session():
        due = f"SELECT seq FROM tasks WHERE state = 'pending' AND not_before <= {dialect().now}"
        assert execute(due) == [(claims[1].seq,)]
        left = execute("SELECT count(*) FROM service_waits")
    assert left == [(1,)]


def test_task_that_ended_leaves_its_turn_to_the_next(context: Context) -> None:
    narrow = offer(concurrency=1)
    claims = claimed(context, 2)
    job_id = jobs.listed()[0].id
    slots.wait(narrow, claims[:1])
    make.close(job_id, claims[:1])
    slots.wait(narrow, claims[1:])
    told = make.outcome(claims[1], TaskState.PENDING, delay_s=600)
    transitions.close_tasks(job_id, [told], actor="worker")
    assert slots.wake(narrow) == {"service"}


def test_rate_gives_moments_one_after_the_other(context: Context) -> None:
    slow = offer(rate_per_s=4)
    claims = claimed(context, 8)
    first = slots.take(slow, claims, lease_s=60)
    assert list(first.granted.values()) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert first.wait_s == pytest.approx(1.25)
    second = slots.take(slow, claims[5:], lease_s=60)
    assert not second.granted
    assert second.wait_s > 1


def test_pause_holds_for_a_service_without_limits_and_is_never_shortened(
    context: Context,
) -> None:
    free = offer()
    claims = claimed(context, 2)
    assert slots.take(free, claims, lease_s=60).granted == {claim.id: 0.0 for claim in claims}
    slots.pause(free, 30)
    slots.pause(free, 10)
    room = slots.take(free, claims, lease_s=60)
    assert not room.granted
    assert 25 < room.wait_s <= 30


def test_paused_call_waits_in_its_row_and_not_in_a_worker(context: Context) -> None:
    registry.load(["tests.support.offers"])
    slots.pause(registry.find("test", "shared"), 600)
    call = {"mode": "test", "service": "any", "task": "echo", "context": {"seconds": 1}}
    steps = [{**call, "name": "free"}, {**call, "name": "paused", "service": "shared"}]
    wide = context.settings.model_copy(update={"window": 1, "batch_bytes": 100_000})
    wide_context = replace(context, settings=wide)
    job_id = jobs.submit(Submission(kind="service", parameters={"steps": steps}))
    planning.run_plan(job_id, wide_context)
    [batch] = make.batches(job_id)
    began = time.monotonic()
    runner.run_batch(job_id, batch, wide_context)
    assert time.monotonic() - began < 5
    free, paused = jobs.tasks(job_id)
    assert (free["state"], paused["state"]) == ("succeeded", "pending")
    assert "no room for it now" in paused["message"]


def test_worker_that_stops_waits_no_longer_than_the_grace_for_a_late_call(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.load(["tests.support.offers"])
    path = tmp_path / "begun"
    job_id = planned(context, service="deaf", task="sleep", input={"path": str(path)})
    [batch] = make.batches(job_id)
    quick = context.settings.model_copy(update={"service_grace_s": 0.2, "lease_s": 2.0})
    stopping = threading.Event()
    monkeypatch.setattr(broker, "_stopping", stopping)
    ran = threading.Thread(
        target=runner.run_batch, args=(job_id, batch, replace(context, settings=quick))
    )
    ran.start()
    eventually(path.exists, within_s=10)
    # Over its soft limit; then the worker is asked to stop.
    eventually(lambda: time.time() - path.stat().st_mtime > 0.3, within_s=10)
    stopping.set()
    ran.join(10)
    assert not ran.is_alive()
    [task] = jobs.tasks(job_id)
    assert (task["state"], task["message"]) == ("pending", "The worker was asked to stop.")


def test_offers_are_written_and_read(context: Context) -> None:
    registry.load(["tests.support.offers"])
    offers.announce()
    offers.announce()
    found = offers.get("test", "narrow")
    assert found is not None
    assert (found.heavy, found.tasks, found.limits["concurrency"]) == (False, ["enter"], 2)
    assert offers.get("test", "nothing") is None
    names = [(each.mode, each.name) for each in offers.listed()]
    assert names == sorted(names)


def test_worker_that_has_nothing_to_do_says_again_what_it_offers_until_it_ends(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.load(["tests.support.offers"])
    monkeypatch.setattr(actors, "EVERY_S", 0.05)
    monkeypatch.setattr(offers, "AGAIN_S", 0.0)
    quiet = StubBroker(middleware=[actors.Announcer()])
    quiet.declare_queue("fast_tasks")
    worker = dramatiq.Worker(quiet, worker_threads=1)
    worker.start()
    for _ in range(2):
        eventually(offers.listed, within_s=20)
        with session():
            execute("DELETE FROM services")
    worker.stop()
    eventually(lambda: "services" not in {each.name for each in threading.enumerate()}, within_s=5)


def test_submitter_is_told_which_services_nobody_has_offered(context: Context) -> None:
    step = {"mode": "test", "service": "any", "task": "echo"}
    one = ServiceParameters.model_validate(step)
    assert offers.warning(one) == "No worker has offered test/any yet; none is known."
    registry.load(["tests.support.offers"])
    offers.announce()
    assert offers.warning(one) == ""
    steps = [{**step, "name": name, "service": name} for name in ("any", "txt", "d", "e", "f")]
    told = offers.warning(ServiceParameters.model_validate({"steps": steps}))
    assert told.startswith("No worker has offered test/d, test/e, test/f, … yet; known are test/")
    steps = [{**step, "name": "a", "service": "txt"}]
    told = offers.warning(ServiceParameters.model_validate({"steps": steps}))
    assert told.startswith("No worker has offered test/txt yet; known are test/text")


@pytest.mark.parametrize("task", ["_hidden", "__init__", "nothing"])
def test_task_that_is_no_public_method_is_refused_by_the_worker_too(
    context: Context, task: str
) -> None:
    registry.load(["tests.support.offers"])
    job_id = planned(context, service="text", task=task, input={"text": ""})
    make.work_off(job_id, context)
    [told] = jobs.tasks(job_id)
    assert (told["state"], told["reason"]) == ("failed", "bad_request")
    assert "it has count, count_later, misfit" in told["message"]


def test_rows_tell_who_waits_for_room_and_for_how_long(context: Context) -> None:
    registry.load(["tests.support.offers"])
    offers.announce()
    narrow, free = registry.find("test", "narrow"), ("test", "any")
    claims = claimed(context, 4)
    slots.take(narrow, claims[:1], lease_s=60)
    slots.wait(narrow, claims[1:3])
    slots.pause(narrow, 30)
    with session():
        execute(f"UPDATE service_waits SET since = {dialect().later('-100')}")
    make.close(jobs.listed()[0].id, claims[1:2])
    told = told_of_services(context)
    place = ("test", "narrow")
    assert (told["waiting"][place], told["slots_used"][place], told["slots"][place]) == (1, 1, 2)
    assert 100 <= told["oldest_wait_seconds"][place] < 160
    assert 0 < told["pause_seconds"][place] <= 30
    assert free not in told["slots"]
    names = ("waiting", "slots_used", "oldest_wait_seconds", "pause_seconds")
    assert [told[name][free] for name in names] == [0, 0, 0, 0]
    let_slots_lapse()
    make.close(jobs.listed()[0].id, claims[2:3])
    told = told_of_services(context)
    assert (told["waiting"][place], told["slots_used"][place]) == (0, 0)


def told_of_services(context: Context) -> dict[str, Any]:
    """Return what the collector tells, by the ends of the figures' names."""
    found = {figure.name: dict(values) for figure, values in collectors.services(context)}
    assert set(found) == {figure.name for figure in collectors.FIGURES}
    return {name.removeprefix("quayline_service_"): values for name, values in found.items()}


def test_time_of_a_run_is_not_that_of_its_wait_for_room(context: Context, tmp_path: Path) -> None:
    registry.load(["tests.support.offers"])
    inputs = [{"folder": str(tmp_path), "seconds": 0.4}] * 3
    wide = replace(context, settings=context.settings.model_copy(update={"window": 1}))
    job_id = planned(wide, service="narrow", task="enter", inputs=inputs)
    [batch] = make.batches(job_id)
    began_at = time.monotonic()
    runner.run_batch(job_id, batch, wide)
    took_s = time.monotonic() - began_at
    with session():
        records = execute("SELECT record FROM service_runs")
    ran_s = [documents.loaded(record)["run_s"] for (record,) in records]
    assert len(ran_s) == 3
    # Two ran first, and the third after one of them.
    assert max(ran_s) <= took_s - 0.4 + 0.05


def test_first_failure_stops_a_job_that_says_so(context: Context) -> None:
    registry.load(["tests.support.offers"])
    job_id = planned(context, task="fail", inputs=[{}] * 40, on_failure="stop")
    [first, *rest] = make.batches(job_id)
    runner.run_batch(job_id, first, context)
    for batch in rest:
        runner.run_batch(job_id, batch, context)
    job = jobs.get(job_id)
    assert job.finished_at is not None
    assert job.failed >= 1
    assert job.cancelled > 20
    reasons = {task["reason"] for task in jobs.tasks(job_id)}
    assert reasons <= {Reason.ERROR, Reason.CANCELLED, Reason.NEED_FAILED}
