"""Each time of a schedule has one row and at most one job: killed here, told twice, told late."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline import broker
from pipeline.core import jobs, leader
from pipeline.core.context import Context
from pipeline.core.schedules import book, fires, firing, rows, turn
from pipeline.core.schedules.firing import run_due
from pipeline.core.schedules.spec import Outcome, ScheduleChange, ScheduleRequest
from pipeline.core.schedules.turn import run_now
from pipeline.core.sweep import sweep
from pipeline.core.templates import book as templates
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.states import CatchUp, JobState, Overlap
from pipeline.store.database import dialect, execute, session, transaction
from tests.support import factories as make
from tests.support import templates as a_template
from tests.support.schedules import MINUTE, NOON, Time, clear, history, made, outcomes


@pytest.fixture
def time(context: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Time]:
    """A clock that is moved by hand, and no schedules."""
    clear()
    yield Time(monkeypatch)
    clear()


def job_ids(schedule: rows.Schedule) -> list[uuid.UUID]:
    return [fire.job_id for fire in history(schedule) if fire.job_id is not None]


def test_time_that_has_come_is_a_job_once_and_the_next_one_is_noted(
    context: Context, time: Time
) -> None:
    schedule = made(context, labels={"team": "web"}, priority=7)
    assert schedule.next_fire_at == NOON + MINUTE
    assert run_due(context).submitted == 0
    time.goes(minutes=1)
    assert [run_due(context).submitted for _ in range(3)] == [1, 0, 0]
    [fire] = history(schedule)
    assert (fire.fire_time, fire.outcome, fire.actor) == (NOON + MINUTE, "submitted", "scheduler")
    assert fire.job_id is not None
    job = jobs.get(fire.job_id)
    assert (job.kind, job.owner, job.priority) == ("trivial", "ann", 7)
    assert job.labels == {"team": "web", "schedule": "often"}
    now = rows.get("often")
    assert (now.next_fire_at, now.last_fire_at) == (NOON + 2 * MINUTE, NOON + MINUTE)
    assert make.take_messages() == [("plan_trivial", (str(fire.job_id),))]


def test_process_that_ends_before_the_commit_has_done_nothing(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(context, catch_up=CatchUp.ALL, overlap=Overlap.ALLOW)
    insert = jobs.insert
    done: list[uuid.UUID] = []

    def killed(job_id: uuid.UUID, *told: Any, **more: Any) -> uuid.UUID | None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job_id)
        return insert(job_id, *told, **more)

    time.goes(minutes=5)
    monkeypatch.setattr(jobs, "insert", killed)
    with pytest.raises(KeyboardInterrupt):
        run_due(context)
    monkeypatch.setattr(jobs, "insert", insert)
    with session():
        assert execute("SELECT count(*) FROM schedule_fires") == [(0,)]
        assert not [job for job in done if execute("SELECT 1 FROM jobs WHERE id = %s", job.hex)]
    assert run_due(context).submitted == 5
    assert outcomes(schedule) == {"submitted": 5}


def test_process_that_ends_after_the_commit_leaves_the_ringing_to_the_sweep(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(context)
    ring = jobs.ring

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    time.goes(minutes=1)
    monkeypatch.setattr(jobs, "ring", killed)
    with pytest.raises(KeyboardInterrupt):
        run_due(context)
    monkeypatch.setattr(jobs, "ring", ring)
    assert run_due(context).submitted == 0
    [job_id] = job_ids(schedule)
    assert make.take_messages() == []
    make.age_hints(3600)
    sweep(context)
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_broker_that_is_away_costs_no_fire(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(context, overlap=Overlap.ALLOW, catch_up=CatchUp.SKIP)
    monkeypatch.setattr(broker, "send", lambda _: False)
    for _ in range(10):
        time.goes(minutes=1)
        assert run_due(context).submitted == 1
    monkeypatch.undo()
    sweep(context)
    told = {arguments[0] for _, arguments in make.take_messages()}
    assert told == {str(job_id) for job_id in job_ids(schedule)}
    assert len(told) == 10


@pytest.mark.parametrize(
    ("policy", "submitted"),
    [(CatchUp.SKIP, [59, 60]), (CatchUp.ONCE, [59, 60]), (CatchUp.ALL, list(range(1, 61)))],
)
def test_times_that_were_missed_are_caught_up_by_the_policy(
    context: Context, time: Time, policy: CatchUp, submitted: list[int]
) -> None:
    schedule = made(context, catch_up=policy, overlap=Overlap.ALLOW)
    time.goes(minutes=60)
    run_due(context)
    found = history(schedule)
    assert [fire.fire_time for fire in found] == [NOON + n * MINUTE for n in range(1, 61)]
    ran = [number for number, fire in enumerate(found, 1) if fire.outcome is Outcome.SUBMITTED]
    assert ran == submitted
    assert {fire.outcome for fire in found} <= {Outcome.SUBMITTED, Outcome.SKIPPED_CATCH_UP}
    assert all(fire.message for fire in found if fire.outcome is Outcome.SKIPPED_CATCH_UP)


@pytest.mark.parametrize(("policy", "expected"), [(CatchUp.SKIP, 0), (CatchUp.ONCE, 1)])
def test_all_times_are_late_and_the_newest_makes_up_for_them_or_none(
    context: Context, time: Time, policy: CatchUp, expected: int
) -> None:
    schedule = made(context, cron="0 * * * *", catch_up=policy)
    time.goes(minutes=60 * 5 + 30)
    assert run_due(context).submitted == expected
    found = history(schedule)
    assert len(found) == 5
    assert [fire.outcome is Outcome.SUBMITTED for fire in found] == [False] * 4 + [bool(expected)]


def test_long_catch_up_goes_on_in_the_next_look_and_holds_up_no_other(
    context: Context, time: Time
) -> None:
    first = made(context, "first", catch_up=CatchUp.ALL, overlap=Overlap.ALLOW)
    other = made(context, "other", cron="0 * * * *")
    time.goes(minutes=250)
    assert run_due(context).submitted == turn.MOST_JOBS + 1
    assert outcomes(other)["submitted"] == 1
    assert [run_due(context).submitted for _ in range(3)] == [100, 50, 0]
    assert outcomes(first) == {"submitted": 250}


def test_long_outage_of_a_schedule_that_skips_is_written_in_parts(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "MOST_ROWS", 70)
    schedule = made(context, cron="*/10 * * * *", catch_up=CatchUp.ONCE)
    time.goes(minutes=10 * 150 + 5)
    told = [run_due(context) for _ in range(4)]
    assert [each.skipped_catch_up for each in told] == [70, 70, 9, 0]
    assert [each.submitted for each in told] == [0, 0, 1, 0]
    assert history(schedule)[-1].outcome is Outcome.SUBMITTED


def test_time_comes_while_the_last_job_is_open_and_is_skipped(context: Context, time: Time) -> None:
    schedule = made(context, overlap=Overlap.SKIP)
    time.goes(minutes=1)
    run_due(context)
    [job_id] = job_ids(schedule)
    time.goes(minutes=1)
    assert run_due(context).skipped_overlap == 1
    assert str(job_id) in history(schedule)[-1].message
    jobs.cancel(job_id, actor="ann")
    time.goes(minutes=1)
    assert run_due(context).submitted == 1


def test_time_comes_while_the_last_job_is_open_and_takes_its_place(
    context: Context, time: Time
) -> None:
    schedule = made(context, overlap=Overlap.CANCEL_PREVIOUS)
    for _ in range(3):
        time.goes(minutes=1)
        assert run_due(context).submitted == 1
    *before, last = job_ids(schedule)
    assert [jobs.get(each).state for each in before] == [JobState.CANCELLED] * 2
    assert jobs.get(last).state == JobState.PENDING


def test_cancel_that_was_not_carried_out_is_the_sweeps(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(context, overlap=Overlap.CANCEL_PREVIOUS)
    monkeypatch.setattr(firing, "tell", lambda *_: None)
    for _ in range(2):
        time.goes(minutes=1)
        run_due(context)
    before, _ = job_ids(schedule)
    assert jobs.get(before).state == JobState.PENDING
    sweep(context)
    assert jobs.get(before).state == JobState.CANCELLED


def test_jobs_may_overlap_where_that_is_wanted(context: Context, time: Time) -> None:
    schedule = made(context, overlap=Overlap.ALLOW)
    for _ in range(3):
        time.goes(minutes=1)
        run_due(context)
    assert len(job_ids(schedule)) == 3


def test_who_does_not_lead_does_nothing(context: Context, time: Time) -> None:
    schedule = made(context)
    time.process("a")
    assert firing.leads(context)
    time.process("b")
    time.goes(minutes=1)
    assert run_due(context).submitted == 0
    assert history(schedule) == []
    time.process("a")
    assert run_due(context).submitted == 1


def lapse() -> None:
    """Let the lease be over."""
    with session():
        execute(f"UPDATE leases SET lease_until = {dialect().later('-1')}")


def test_lapsed_lease_is_taken_by_another_and_the_old_leader_stops(
    context: Context, time: Time
) -> None:
    made(context)
    time.process("a")
    assert firing.leads(context)
    lapse()
    time.process("b")
    time.goes(minutes=1)
    assert run_due(context).submitted == 1
    time.process("a")
    time.goes(minutes=1)
    assert run_due(context).submitted == 0
    row = leader.held(firing.LEASE)
    assert row is not None
    assert row.holder.endswith("/b")


def test_leader_that_was_held_up_until_another_leads_writes_nothing(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked for what is due; its lease lapses there, and another one fires."""
    schedule = made(context, overlap=Overlap.ALLOW)
    time.process("a")
    due, leads = firing._due, firing.leads

    def held_up(now: Any) -> list[uuid.UUID]:
        found = due(now)
        lapse()
        time.process("b")
        monkeypatch.setattr(firing, "_due", due)
        # The other one leads, and has not come to this schedule yet.
        assert leads(context)
        time.process("a")
        monkeypatch.setattr(firing, "leads", lambda _: True)
        return found

    monkeypatch.setattr(firing, "_due", held_up)
    time.goes(minutes=1)
    assert run_due(context).submitted == 0
    assert history(schedule) == []
    monkeypatch.setattr(firing, "leads", leads)
    time.process("b")
    assert run_due(context).submitted == 1


def test_lease_is_given_back_at_once_and_by_its_holder_alone(context: Context, time: Time) -> None:
    time.process("a")
    assert firing.leads(context)
    time.process("b")
    assert not leader.release(firing.LEASE, context.settings)
    assert not firing.leads(context)
    time.process("a")
    firing.leave(context)
    time.process("b")
    assert firing.leads(context)


def test_lease_of_a_clock_that_was_set_back_holds_up_nobody(context: Context, time: Time) -> None:
    time.process("a")
    leader.lead(firing.LEASE, context.settings, lease_s=3600)
    time.process("b")
    assert firing.leads(context)


def test_two_that_both_think_they_lead_submit_each_time_once(
    context: Context, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lease at all: the key and the row's lock are enough."""
    schedules = [
        made(context, f"s{number}", catch_up=CatchUp.ALL, overlap=Overlap.ALLOW)
        for number in range(3)
    ]
    monkeypatch.setattr(firing, "leads", lambda _: True)
    monkeypatch.setattr(leader, "holds", lambda *_: ("1 = 1", ()))
    time.goes(minutes=20)
    together = threading.Barrier(4)
    submitted = []

    def look() -> None:
        together.wait()
        submitted.append(run_due(context).submitted)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(submitted) == 60
    with session():
        assert execute("SELECT count(*), count(DISTINCT job_id) FROM schedule_fires") == [(60, 60)]
        assert execute("SELECT count(*) FROM jobs WHERE labels LIKE %s", '%"schedule"%') == [(60,)]
    assert all(outcomes(schedule) == {"submitted": 20} for schedule in schedules)


def test_database_takes_no_second_row_of_one_time(context: Context, time: Time) -> None:
    schedule = made(context)
    with transaction():
        first, again = (
            fires.record(schedule.id, NOON, Outcome.REFUSED, message="x") for _ in range(2)
        )
    assert (first, again) == (True, False)


def test_clock_that_is_set_back_neither_repeats_a_time_nor_waits_for_one(
    context: Context, time: Time
) -> None:
    schedule = made(context, overlap=Overlap.ALLOW, catch_up=CatchUp.ALL)
    for _ in range(10):
        time.goes(minutes=1)
        run_due(context)
    assert len(job_ids(schedule)) == 10
    time.goes(minutes=-5)
    run_due(context)
    assert rows.get("often").next_fire_at == NOON + 6 * MINUTE
    for _ in range(7):
        time.goes(minutes=1)
        run_due(context)
    assert [fire.fire_time for fire in history(schedule)] == [
        NOON + number * MINUTE for number in range(1, 13)
    ]
    assert outcomes(schedule) == {"submitted": 12}
    with session():
        assert execute("SELECT count(*) FROM jobs") == [(12,)]


def test_single_moment_comes_once_and_then_the_schedule_has_ended(
    context: Context, time: Time
) -> None:
    schedule = made(context, at=NOON + timedelta(hours=1))
    time.goes(minutes=61)
    assert [run_due(context).submitted for _ in range(2)] == [1, 0]
    now = rows.get("often")
    assert (now.next_fire_at, now.has_ended) == (None, True)
    assert len(history(schedule)) == 1


def test_interval_counts_from_its_making(context: Context, time: Time) -> None:
    schedule = made(context, every_s=90, overlap=Overlap.ALLOW, catch_up=CatchUp.ALL)
    time.goes(minutes=5)
    run_due(context)
    told = [(fire.fire_time - NOON).total_seconds() for fire in history(schedule)]
    assert told == [90, 180, 270]


def test_schedule_that_is_off_does_not_fire_and_misses_nothing(
    context: Context, time: Time
) -> None:
    schedule = made(context, catch_up=CatchUp.ALL)
    book.change("often", ScheduleChange(enabled=False), context)
    time.goes(minutes=10)
    assert run_due(context).submitted == 0
    told = book.change("often", ScheduleChange(enabled=True), context)
    assert told.next_fire_at == NOON + 11 * MINUTE
    time.goes(minutes=1)
    assert run_due(context).submitted == 1
    assert len(history(schedule)) == 1


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"parameters": {"tasks": "many"}}, "parameters.tasks: "),
        ({"parameters": {"unknown": 1}}, "parameters.unknown: "),
        ({"cron": "61 * * * *"}, "cannot be read"),
        ({"cron": "0 0 30 2 *"}, "never comes"),
        ({"at": NOON - MINUTE}, "has passed"),
        ({"timezone": "Europe/Nowhere"}, "no time zone"),
        ({"kind": "unknown"}, "no kind of job"),
        ({"kind": "sql_lint", "parameters": {}}, "needs a stored source"),
    ],
)
def test_schedule_that_could_not_be_submitted_is_not_stored(
    context: Context, time: Time, told: dict[str, Any], why: str
) -> None:
    asked = {"name": "x", "kind": "trivial", "parameters": {}, **told}
    if not {"cron", "at"} & set(told):
        asked["cron"] = "* * * * *"
    with pytest.raises(Refused, match=why):
        book.create(ScheduleRequest(**asked), context)
    assert rows.listed() == []


def test_bad_change_changes_nothing(context: Context, time: Time) -> None:
    before = made(context)
    for told in ({"parameters": {"x": 1}}, {"cron": "x"}, {"timezone": "Nowhere"}):
        with pytest.raises(Refused):
            book.change("often", ScheduleChange(priority=9, **told), context)
    assert rows.get("often") == before


def test_change_of_the_trigger_counts_from_now(context: Context, time: Time) -> None:
    made(context)
    told = book.change("often", ScheduleChange(every_s=600, priority=9), context)
    assert (told.cron, told.every_s, told.priority) == (None, 600, 9)
    assert told.next_fire_at == NOON + 10 * MINUTE
    told = book.change("often", ScheduleChange(cron="0 9 * * *", timezone="Asia/Tokyo"), context)
    assert told.next_fire_at == NOON + timedelta(hours=12)


def test_name_is_given_once(context: Context, time: Time) -> None:
    made(context)
    with pytest.raises(Conflict):
        made(context)


def test_parameters_that_are_refused_by_now_are_told_in_the_history(
    context: Context, time: Time
) -> None:
    schedule = made(context)
    with session():
        execute("UPDATE schedules SET kind = 'gone'")
    time.goes(minutes=1)
    assert run_due(context).refused == 1
    [fire] = history(schedule)
    assert (fire.outcome, fire.job_id) == ("refused", None)
    assert "There is no kind of job named 'gone'" in fire.message
    assert rows.get("often").next_fire_at == NOON + 2 * MINUTE


@pytest.mark.parametrize("bent", ["parameters = 'x'", "timezone = 'Nowhere/Land'", "labels = '1'"])
def test_row_that_nobody_reads_costs_itself(context: Context, time: Time, bent: str) -> None:
    broken, other = made(context, "broken"), made(context, "other")
    with session():
        execute(f"UPDATE schedules SET {bent} WHERE name = 'broken'")
    time.goes(minutes=1)
    assert run_due(context).submitted == 1
    assert [fire.outcome for fire in history(broken)] == ["refused"]
    assert "switched off" in history(broken)[0].message
    assert outcomes(other) == {"submitted": 1}
    assert "other" in [each.name for each in rows.listed()]
    book.delete("broken")


def test_run_by_hand_is_told_in_the_history(context: Context, time: Time) -> None:
    schedule = made(context, enabled=False)
    job_id = run_now("often", context, actor="bob")
    [fire] = history(schedule)
    assert (fire.job_id, fire.actor) == (job_id, "bob")
    assert ("plan_trivial", (str(job_id),)) in make.take_messages()
    time.goes(minutes=1)
    with pytest.raises(Conflict, match="has not ended"):
        run_now("often", context, actor="bob")
    assert len(history(schedule)) == 1


def test_deleted_schedule_takes_its_history_and_leaves_its_jobs(
    context: Context, time: Time
) -> None:
    schedule = made(context)
    time.goes(minutes=1)
    run_due(context)
    [job_id] = job_ids(schedule)
    book.delete("often")
    assert (history(schedule), jobs.get(job_id).state) == ([], JobState.PENDING)
    for gone in (lambda: book.delete("often"), lambda: rows.get("often")):
        with pytest.raises(NotFound):
            gone()


def test_history_is_pruned_in_parts_and_keeps_what_is_open(context: Context, time: Time) -> None:
    schedule = made(context, overlap=Overlap.ALLOW, catch_up=CatchUp.ALL)
    time.goes(minutes=10)
    run_due(context)
    first, *_ = told = job_ids(schedule)
    for job_id in told[1:]:
        jobs.cancel(job_id, actor="ann")
    before = NOON + 9 * MINUTE
    assert [fires.prune(before, 5) for _ in range(3)] == [5, 2, 0]
    assert [fire.fire_time for fire in history(schedule)] == [
        NOON + number * MINUTE for number in (1, 9, 10)
    ]
    assert history(schedule)[0].job_id == first


def test_source_that_is_stored_is_used_again_and_is_kept(
    context: Context, time: Time, shop_job: Callable[[], uuid.UUID]
) -> None:
    from pipeline.core import storage_check

    job_id = shop_job()
    asked = ScheduleRequest(name="lint", from_job=job_id, cron="* * * * *")
    schedule = book.create(asked, context)
    with session():
        execute("DELETE FROM events")
        execute("DELETE FROM jobs")
    # The job is gone; its source is the schedule's now.
    assert storage_check.clean(context.blobs, remove=True, grace_s=-60).removed == 0
    time.goes(minutes=1)
    assert run_due(context).submitted == 1
    job = jobs.get(job_ids(schedule)[0])
    assert (job.kind, job.source) == ("sql_lint", schedule.source)


@pytest.fixture
def shop_job(context: Context) -> Callable[[], uuid.UUID]:
    """Submit a lint job with a stored source."""

    def submit() -> uuid.UUID:
        blob = context.blobs.put(b"PK, or something like it")
        source = {"name": "shop.zip", "digest": blob.digest, "blobs": [blob.digest]}
        return jobs.submit(
            jobs.Submission(kind="sql_lint", parameters={"dialect": "ansi"}, source=source)
        )

    return submit


def test_schedule_of_a_template_submits_that_version_as_it_is_then(
    context: Context, time: Time
) -> None:
    a_template.clear()
    a_template.made(context, priority=7, deadline_s=60, labels={"team": "web"})
    told: dict[str, Any] = {"template": "count", "variables": {"tasks": 3}, "cron": "* * * * *"}
    book.create(ScheduleRequest(name="a", labels={"x": "y"}, **told), context, owner="ann")
    book.create(ScheduleRequest(name="b", priority=1, **told), context)
    a_template.made(context, priority=9)
    templates.retire("count")
    time.goes(minutes=1)
    assert run_due(context).submitted == 2
    first, second = (jobs.get(job_ids(rows.get(name))[0]) for name in ("a", "b"))
    assert (first.parameters, first.priority) == ({"tasks": 3, "pause_s": 0.5}, 7)
    assert first.labels == {"team": "web", "x": "y", "template": "count@1", "schedule": "a"}
    assert (first.source, first.deadline_at is not None) == ({"name": "count@1"}, True)
    assert (second.priority, second.labels["template"]) == (1, "count@1")
    changed = book.change("a", ScheduleChange(parameters={"tasks": 0}), context)
    assert changed.labels == {"team": "web", "x": "y"}, "it is not the template's any more"
    for refused, why in (
        (told, "Every version"),
        ({**told, "template": "count@1"}, "is retired"),
    ):
        with pytest.raises(Refused, match=why):
            book.create(ScheduleRequest(name="c", **refused), context)
    a_template.clear()


def test_schedule_of_a_template_with_a_wrong_value_is_not_stored(
    context: Context, time: Time
) -> None:
    a_template.clear()
    a_template.made(context)
    told: dict[str, Any] = {"name": "a", "template": "count", "every_s": 60}
    with pytest.raises(Refused, match="needs the variable tasks"):
        book.create(ScheduleRequest(**told), context)
    wrong: list[dict[str, Any]] = [
        *({"kind": "trivial"}, {"parameters": {}}),
        {"template": None, "variables": {"x": 1}},
    ]
    for more in wrong:
        with pytest.raises(ValidationError):
            ScheduleRequest(**{**told, **more})
    assert rows.listed() == []
    a_template.clear()
