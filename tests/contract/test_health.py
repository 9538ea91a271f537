"""What is needed is looked at, and what was found is kept for those who cannot look."""

import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline import broker
from pipeline.core import due, health, hosts
from pipeline.core.context import Context
from pipeline.core.health import Finding, State
from pipeline.core.schedules import firing
from pipeline.core.upkeep import checking
from pipeline.core.upkeep.checking import check_health
from pipeline.errors import DatabaseUnavailable
from pipeline.store.blobs import BlobStore
from pipeline.store.database import dialect, execute, session, transaction
from tests.support import factories as make


def latest() -> dict[str, health.Health]:
    """Return what was found last, by name."""
    return {told.name: told for told in health.latest()}


@pytest.fixture(autouse=True)
def nobody_leads(context: Context) -> None:
    """No lease stands."""
    with session():
        execute("DELETE FROM leases")


def on_rabbitmq(context: Context) -> Context:
    """Return a context that is not embedded; nothing is sent."""
    told = {"broker_url": "amqp://nobody@127.0.0.1:1/"}
    return Context(context.settings.model_copy(update=told), context.blobs)


def lead(holder: str, left_s: float) -> None:
    """Let a scheduler have led until then."""
    with transaction():
        execute(
            "INSERT INTO leases (name, holder, taken_at, lease_until) VALUES"
            f" ('{firing.LEASE}', %s, {dialect().later('-1000')}, {dialect().later('%s')})",
            *(holder, left_s),
        )


def test_healthy_deployment_is_found_so_and_kept(context: Context) -> None:
    assert health.latest() == []
    assert asdict(check_health(context)) == {"ok": 4, "warning": 0, "failed": 0}
    found = latest()
    assert set(found) == {"broker", "database", "queues", "storage"}
    assert {told.state for told in found.values()} == {"ok"}
    assert 0 <= found["database"].facts["answer_s"] < 5
    assert all(0 <= told.age_s < 60 for told in found.values())
    before = found["storage"].checked_at
    check_health(context)
    assert latest()["storage"].checked_at > before, "the row is the newest look"
    assert len(latest()) == 4


def test_storage_that_does_not_work_is_told_and_mends(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    broken = BlobStore(str(tmp_path / "file" / "blobs"))
    with monkeypatch.context() as patch:
        patch.setattr(BlobStore, "check", lambda _: BlobStore.writing(broken, "x").__enter__())
        assert check_health(context).failed == 1
        assert latest()["storage"].message.startswith("The blob storage does not work")
    assert check_health(context).failed == 0
    assert latest()["storage"].state == "ok"


def test_storage_that_hangs_keeps_nobody_waiting(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(checking, "LIMIT_S", 0.2)
    monkeypatch.setattr(BlobStore, "check", lambda _: goes_on.wait(30))
    try:
        assert asdict(check_health(context)) == {"ok": 3, "warning": 0, "failed": 1}
        assert latest()["storage"].message.startswith("No answer within")
    finally:
        goes_on.set()


def test_database_that_is_away_is_told_to_the_caller_and_leaves_the_rows(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_health(context)
    before = latest()

    def away(*_: object) -> None:
        raise DatabaseUnavailable("The database does not answer: it is away")

    with monkeypatch.context() as patch:
        patch.setattr(health, "transaction", away)
        with pytest.raises(DatabaseUnavailable):
            check_health(context)
    assert [told.checked_at for told in latest().values()] == [
        told.checked_at for told in before.values()
    ]


def test_broker_that_does_not_answer_is_told(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "waiting", lambda _: None)
    check_health(on_rabbitmq(context))
    assert latest()["broker"].state == "failed"


def test_hosts_are_as_their_rows_say(context: Context) -> None:
    for name in ("here", "there"):
        hosts.add(name, "tcp://127.0.0.1:1", slots=1, labels={})
        hosts.note_here(name)
    check_health(context)
    assert latest()["hosts"].state == "ok"
    hosts.note_away("there", "no route")
    check_health(context)
    told = latest()["hosts"]
    assert (told.state, told.message) == ("warning", "Away: there (no route).")
    assert told.facts["here"] == 0.0
    hosts.note_away("here", "no route")
    check_health(context)
    assert latest()["hosts"].state == "failed"
    for name in ("here", "there"):
        hosts.remove(name)
    check_health(context)
    assert "hosts" not in latest(), "what is no more has no row"


def test_scheduler_is_as_its_lease_says(context: Context) -> None:
    told = on_rabbitmq(context)
    assert checking._scheduler(context) is None, "an embedded service needs none"
    found = checking._scheduler(told)
    assert found is not None
    assert found.state == "warning"
    lead("host:1", 30)
    found = checking._scheduler(told)
    assert found is not None
    assert (found.state, found.message) == ("ok", "host:1 leads.")
    assert 0 < found.facts["left_s"] <= 30
    with session():
        execute("DELETE FROM leases")
    lead("host:2", -100)
    found = checking._scheduler(told)
    assert found is not None
    assert found.state == "failed"
    assert found.message.startswith("No scheduler leads since 10")


def age(job_column: str = "", task_column: str = "", seconds: float = 1000) -> None:
    """Let what is due have come due so much earlier."""
    past = dialect().later("%s")
    with session():
        if job_column:
            execute(
                f"UPDATE jobs SET {job_column} = {past} WHERE {job_column} IS NOT NULL", -seconds
            )
        if task_column:
            execute(f"UPDATE tasks SET {task_column} = {past}", -seconds)


def test_oldest_due_of_each_queue_is_told(context: Context) -> None:
    make.pending_job()
    age(job_column="not_before", seconds=50)
    make.planned_job(context)
    age(task_column="not_before", seconds=70)
    ended = make.planned_job(context, tasks=0)
    past = dialect().later("-90")
    with session():
        execute(f"UPDATE jobs SET not_before = {past} WHERE id = %s", ended.hex)
    found = {told.queue: told for told in due.oldest()}
    ages = {queue: round(told.oldest_s, -1) for queue, told in found.items()}
    assert ages == {"trivial_plan": 50, "trivial_work": 70, "monitoring": 90}
    assert not any(told.is_served for told in found.values())


def test_what_is_not_due_yet_or_has_ended_is_no_backlog(context: Context) -> None:
    job_id = make.planned_job(context)
    make.close(job_id, make.claimed(context, job_id))
    make.planned_job(context)
    age(task_column="not_before", seconds=-600)
    with session():
        execute("UPDATE jobs SET finalized_at = finished_at")
    assert due.oldest() == []


def test_backlog_that_nobody_takes_is_told_one_in_work_is_not(context: Context) -> None:
    job_id = make.planned_job(context, tasks=4)
    age(task_column="not_before")
    check_health(context)
    told = latest()["queues"]
    assert (told.state, round(told.facts["trivial_work"], -2)) == ("warning", 1000)
    assert "trivial_work (" in told.message
    with session():
        execute("UPDATE tasks SET hinted_at = NULL, batch = NULL WHERE seq > 1")
    assert make.claimed(context, job_id)
    check_health(context)
    assert latest()["queues"].state == "ok"
    assert latest()["queues"].facts["trivial_work"] > 900


def test_dry_run_keeps_nothing(context: Context) -> None:
    assert check_health(context, True).ok == 4
    assert health.latest() == []


def test_two_looks_at_once_are_one_row_each(context: Context) -> None:
    threads = [threading.Thread(target=check_health, args=(context,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(latest()) == 4


def test_message_is_such_as_a_database_bears(context: Context) -> None:
    health.note({"odd": Finding(State.WARNING, "nul \0 and " + "x" * 5000)})
    assert len(latest()["odd"].message) == 2000
    health.note({"odd": None})
    assert latest() == {}
