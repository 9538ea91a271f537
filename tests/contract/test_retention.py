"""What was kept long enough goes, whole and once; what is open, needed or not due stays."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.core import executions, finishing, jobs, transitions
from pipeline.core.context import Context
from pipeline.core.dispatch import dispatch
from pipeline.core.fsck import fsck
from pipeline.core.schedules.spec import Outcome
from pipeline.core.upkeep import retention
from pipeline.core.upkeep.retention import clean_old_data
from pipeline.errors import NotFound
from pipeline.kinds.service import offers
from pipeline.settings import Settings
from pipeline.states import JobState
from pipeline.store import results
from pipeline.store.database import changed, dialect, execute, session, transaction
from pipeline.store.results import Result
from tests.support import factories as make
from tests.support.schedules import made

DAY_S = 86_400.0


def keeping(context: Context, days: str) -> Context:
    """Return the context under another retention."""
    settings = context.settings.model_copy(update={"retention_days": days})
    return replace(context, settings=settings)


def ended_job(context: Context, *, tasks: int = 3, days_ago: float = 0.0) -> uuid.UUID:
    """Return a job that ended so long ago, its reports written."""
    job_id = make.planned_job(context, tasks=tasks)
    if tasks:
        while claims := make.claimed(context, job_id):
            make.close(job_id, claims)
            dispatch("trivial", context)
    finishing.run_finish(job_id, context)
    assert jobs.get(job_id).finalized_at is not None
    age(job_id, days_ago)
    return job_id


def age(job_id: uuid.UUID, days: float) -> None:
    """Let the job have come and ended so many days earlier."""
    moved = [
        f"{name} = {dialect().moved(name, '%s')}"
        for name in ("created_at", "finished_at", "finalized_at")
    ]
    with transaction():
        told = [-days * DAY_S] * len(moved)
        execute(f"UPDATE jobs SET {', '.join(moved)} WHERE id = %s", *told, job_id.hex)


def there() -> set[uuid.UUID]:
    """Return the jobs that are there."""
    return {job.id for job in jobs.listed(limit=10_000)}


def number(table: str) -> int:
    """Return how many rows the table has."""
    with session():
        return int(execute(f"SELECT count(*) FROM {table}")[0][0])


def test_old_jobs_go_with_all_they_have_and_no_other(context: Context) -> None:
    old = [ended_job(context, days_ago=31) for _ in range(2)]
    young = ended_job(context, days_ago=29)
    events = sum(len(jobs.events(job_id)) for job_id in old)
    months = keeping(context, "30")
    wanted = {"jobs": 2, "tasks": 6, "events": events, "executions": 0}
    wanted |= {"results": 0, "dead_letters": 0, "schedule_fires": 0}
    wanted |= {"access_log": 0, "daily_figures": 0, "services": 0}
    assert asdict(clean_old_data(months, dry_run=True)) == wanted
    assert there() == {*old, young}, "a dry run removes nothing"
    assert asdict(clean_old_data(months)) == wanted
    assert there() == {young}
    assert number("tasks") == 3
    assert number("events") == len(jobs.events(young))
    assert not any(asdict(clean_old_data(months)).values()), "a second run finds nothing"
    assert fsck(context).clean


@pytest.mark.parametrize("days", ["0", '{"trivial": 0, "*": 1}', '{"sql_lint": 1}'])
def test_nothing_goes_that_is_kept_for_ever(context: Context, days: str) -> None:
    job_id = ended_job(context, days_ago=4000)
    assert clean_old_data(keeping(context, days)).jobs == 0
    assert there() == {job_id}


def test_each_kind_has_its_own_time(context: Context) -> None:
    ours, other = (ended_job(context, days_ago=10) for _ in range(2))
    with session():
        execute("UPDATE jobs SET kind = 'of_a_newer_version' WHERE id = %s", other.hex)
    assert clean_old_data(keeping(context, '{"trivial": 11, "*": 9}')).jobs == 1
    assert there() == {ours}


def test_what_is_live_stays_however_old(context: Context) -> None:
    pending = make.pending_job()
    running = make.planned_job(context)
    make.claimed(context, running)
    unreported = make.planned_job(context, tasks=1)
    assert make.close(unreported, make.claimed(context, unreported))
    assert jobs.get(unreported).state == JobState.SUCCEEDED
    somewhere = ended_job(context, tasks=1, days_ago=50)
    [task] = (uuid.UUID(told) for told in make.task_ids(somewhere))
    with transaction():
        executions.place(task, somewhere, 1, host="here", container="task-1")
    for job_id in (pending, running, unreported):
        age(job_id, 50)
    assert clean_old_data(keeping(context, "1")).jobs == 0
    executions.ended(task, 1, exit_code=0)
    executions.removed(task, 1)
    removed = clean_old_data(keeping(context, "1"))
    assert (removed.jobs, removed.tasks, removed.executions) == (1, 1, 1)
    assert there() == {pending, running, unreported}


def test_jobs_go_in_few_transactions_and_a_large_one_alone(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    counts = [1, 1, 1, 20, 1, 1]
    for tasks in counts:
        ended_job(context, tasks=tasks, days_ago=3)
    steps = [len(step) for step in retention._steps("trivial", DAY_S)]
    assert steps == [3, 1, 2]
    assert clean_old_data(keeping(context, "1")).jobs == len(counts)
    assert number("tasks") == number("events") == 0


def test_killed_in_mid_removal_leaves_whole_jobs(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 4)
    for _ in range(3):
        ended_job(context, days_ago=3)
    calls: list[str] = []

    def killed(sql: str, *told: Any) -> int:
        calls.append(sql)
        if len(calls) == 7:  # in the second step, its tasks are gone and the job is not
            raise KeyboardInterrupt
        return changed(sql, *told)

    monkeypatch.setattr(retention, "changed", killed)
    with pytest.raises(KeyboardInterrupt):
        clean_old_data(keeping(context, "1"))
    assert len(there()) == 2
    assert fsck(context).clean
    monkeypatch.undo()
    assert clean_old_data(keeping(context, "1")).jobs == 2


def test_two_at_once_remove_each_job_once(context: Context) -> None:
    for _ in range(20):
        ended_job(context, tasks=2, days_ago=3)
    live = make.planned_job(context)
    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(lambda _: clean_old_data(keeping(context, "1")), range(2)))
    assert sum(each.jobs for each in told) == 20
    assert sum(each.tasks for each in told) == 40
    assert there() == {live}


def test_job_that_is_run_again_keeps_its_blobs_or_is_refused(context: Context) -> None:
    """Never is there a moment at which no row needs the source of a job that is taken over."""
    digest = context.blobs.put(b"source").digest
    job_id = ended_job(context, days_ago=3)
    with session():
        execute(
            "UPDATE jobs SET source = %s WHERE id = %s", f'{{"blobs": ["{digest}"]}}', job_id.hex
        )
    locked, goes_on = threading.Event(), threading.Event()
    if not dialect().postgres:
        clean_old_data(keeping(context, "1"))
        with pytest.raises(NotFound):
            jobs.retry(job_id, Settings(), actor="ann")
        return

    def again() -> uuid.UUID:
        with transaction():
            made = jobs.retry(job_id, Settings(), actor="ann", heard=False)
            locked.set()
            assert goes_on.wait(20)
        return made

    with ThreadPoolExecutor(2) as threads:
        retried = threads.submit(again)
        assert locked.wait(20)
        removing = threads.submit(clean_old_data, keeping(context, "1"))
        with pytest.raises(TimeoutError):
            removing.result(0.3)
        goes_on.set()
        assert removing.result(20).jobs == 1
    assert there() == {retried.result()}
    assert jobs.get(retried.result()).source == {"blobs": [digest]}
    with pytest.raises(NotFound):
        jobs.submit(
            jobs.Submission(kind="trivial", parameters={"tasks": 1}), again=job_id, heard=False
        )


# Results


def stored(*keys: str, days_ago: float = 0.0) -> None:
    """Store results that were taken up last so long ago."""
    results.store([Result(key, {"key": key}, {}) for key in keys])
    past = dialect().later("%s")
    with session():
        for key in keys:
            execute(
                f"UPDATE results SET created_at = {past} WHERE key = %s", -days_ago * DAY_S, key
            )


def job_with_result(context: Context, key: str, *, days_ago: float) -> uuid.UUID:
    """Return an ended job whose task refers to the result."""
    job_id = ended_job(context, tasks=1, days_ago=days_ago)
    with session():
        execute("UPDATE tasks SET result_key = %s WHERE job_id = %s", key, job_id.hex)
    return job_id


def kept(*keys: str) -> set[str]:
    """Return which of the results are there, and make none of them young."""
    with session():
        return {key for (key,) in execute("SELECT key FROM results")} & set(keys)


def test_results_that_no_job_can_refer_to_go(context: Context) -> None:
    stored("old", days_ago=40)
    stored("young", days_ago=20)
    assert clean_old_data(keeping(context, "30"), dry_run=True).results == 1
    assert kept("old", "young") == {"old", "young"}
    assert clean_old_data(keeping(context, "30")).results == 1
    assert kept("old", "young") == {"young"}


def test_result_of_a_job_that_is_there_stays_with_all_that_came_later(context: Context) -> None:
    stored("before", days_ago=60)
    stored("of the job", days_ago=50.5)
    stored("after", days_ago=45)
    job_with_result(context, "of the job", days_ago=50)
    ended_job(context, days_ago=55)  # it has no result
    assert clean_old_data(keeping(context, '{"*": 10, "trivial": 0}')).results == 1
    assert kept("before", "of the job", "after") == {"of the job", "after"}


def test_result_that_is_taken_up_again_is_young(context: Context) -> None:
    stored("looked up", "stored again", "left", days_ago=40)
    assert results.known(["looked up", "nowhere"]) == {"looked up"}
    results.store([Result("stored again", {"other": 1}, {})])
    assert clean_old_data(keeping(context, "30")).results == 1
    assert kept("looked up", "stored again", "left") == {"looked up", "stored again"}
    with session():
        [(body,)] = execute("SELECT body FROM results WHERE key = 'stored again'")
    assert results.unpacked(body) == {"key": "stored again"}, "the first one counts"


def test_result_stays_two_days_whatever_the_setting(context: Context) -> None:
    stored("a", days_ago=1.5)
    assert clean_old_data(keeping(context, "0.001")).results == 0
    stored("a", days_ago=2.5)
    assert clean_old_data(keeping(context, "0.001")).results == 1


def test_result_that_was_found_is_there_however_often_old_ones_are_removed(
    context: Context,
) -> None:
    """The race: one looks keys up and refers to what it found, others remove old results."""
    keys = [f"k{n:03}" for n in range(200)]
    ended = threading.Event()

    def remove() -> None:
        while not ended.is_set():
            results.remove_old(datetime.now(UTC) - timedelta(days=2))

    lost: list[str] = []
    with ThreadPoolExecutor(3) as threads:
        removers = [threads.submit(remove) for _ in range(2)]
        try:
            for _ in range(12):
                stored(*keys[:20], days_ago=3)
                found = results.known(keys)
                lost += sorted(found - kept(*keys))
        finally:
            ended.set()
        for each in removers:
            each.result(30)
    assert lost == []


def letter(days_ago: float) -> None:
    """Make a dead letter that was found so long ago."""
    told = uuid.uuid4().hex
    with transaction():
        execute(
            "INSERT INTO dead_letters (id, key, queue, body, reason, found_at)"
            f" VALUES (%s, %s, 'monitoring', %s, 'failed', {dialect().later('%s')})",
            *(told, told, b"{}", -days_ago * DAY_S),
        )


def test_old_dead_letters_go(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    for days_ago in (8, 9, 10, 11, 12, 6):
        letter(days_ago)
    week = keeping(context, '{"dead_letters": 7}')
    assert clean_old_data(week, dry_run=True).dead_letters == 5
    assert clean_old_data(week).dead_letters == 5
    assert number("dead_letters") == 1


def test_late_word_about_a_removed_job_changes_nothing(
    context: Context,
) -> None:
    """A late word about a job that has been removed changes nothing and fails nowhere."""
    job_id = ended_job(context, tasks=1, days_ago=3)
    clean_old_data(keeping(context, "1"))
    assert transitions.claim_job(job_id, phase="finish", worker="late", lease_s=60) is None
    finishing.run_finish(job_id, context)
    assert there() == set()


def test_fires_of_schedules_are_kept_as_long_as_told(context: Context) -> None:
    schedule = made(context, "nightly", cron="0 2 * * *")
    rows = [(days, Outcome.SKIPPED_OVERLAP) for days in (1, 20, 40)]
    for days, outcome in rows:
        past = dialect().later(f"-{days * 86_400}")
        with session():
            execute(
                "INSERT INTO schedule_fires (schedule_id, fire_time, outcome, fired_at, actor)"
                f" VALUES (%s, {past}, %s, {past}, 'scheduler')",
                *(schedule.id.hex, str(outcome)),
            )
    keeping_days = keeping(context, '{"schedule_fires": 30}')
    assert clean_old_data(keeping_days, dry_run=True).schedule_fires == 1
    assert clean_old_data(keeping_days).schedule_fires == 1
    assert clean_old_data(keeping(context, '{"schedule_fires": 10}')).schedule_fires == 1
    assert clean_old_data(keeping(context, '{"schedule_fires": 0}')).schedule_fires == 0


def test_result_that_comes_twice_in_one_batch_is_stored_once(context: Context) -> None:
    results.store([Result("twice", {"n": 1}, {}), Result("once", {}, {}), Result("twice", {}, {})])
    assert results.known(["once", "twice"]) == {"once", "twice"}


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        ("90", ["old", "older"]),
        ("0", []),
        ("7", ["old", "older", "young"]),
        ('{"services": 300, "*": 7}', ["older"]),
        ('{"services": 0, "*": 7}', []),
        ('{"services": 0.01}', ["old", "older", "young"]),
        ('{"sql_lint": 1}', []),
    ],
)
def test_services_that_nobody_has_offered_for_long_are_listed_no_more(
    context: Context, days: str, gone: list[str]
) -> None:
    ages = {"older": 301, "old": 31, "young": 29, "there": 0.9}
    for name, age_days in ages.items():
        offered(name, age_days)
    kept = keeping(context, days)
    assert clean_old_data(kept, dry_run=True).services == len(gone)
    assert number("services") == 4
    assert clean_old_data(kept).services == len(gone)
    assert {each.name for each in offers.listed()} == {*ages} - {*gone}
    with session():
        pauses = {name for (name,) in execute("SELECT name FROM service_pauses")}
    assert pauses == {*ages} - {*gone}


def offered(name: str, age_days: float) -> None:
    """Let a worker have offered the service so many days ago, and it have been paused then."""
    then = dialect().later("%s")
    with transaction():
        execute(
            "INSERT INTO services (mode, name, heavy, description, tasks, takes_any, limits,"
            f" seen_at) VALUES ('chat', %s, 0, '', '{{}}', 0, '{{}}', {then})",
            *(name, -age_days * DAY_S),
        )
        execute(
            f"INSERT INTO service_pauses (mode, name, next_at) VALUES ('chat', %s, {then})",
            *(name, -age_days * DAY_S),
        )
