"""The check finds what a crash or a hand in the database can leave, mends it, and harms nothing."""

import fcntl
import os
import sqlite3
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.core import jobs, planning, transitions
from pipeline.core.context import Context
from pipeline.core.fsck import Findings, fsck
from pipeline.states import JobState, Reason, TaskState
from pipeline.store import spool
from pipeline.store.blobs import BlobStore, blob_name
from pipeline.store.database import dialect, execute, session
from tests.support import factories as make

GONE = "0" * 64
COUNTERS = ("total", "succeeded", "failed", "timed_out", "cancelled", "reused")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def age(context: Context) -> None:
    """Make every stored file two hours old."""
    for path in Path(context.settings.storage).rglob("*"):
        if path.is_file():
            make_old(path)


def make_old(path: Path) -> None:
    """Make a file two hours old."""
    told = time.time() - 7200
    os.utime(path, (told, told))


def do(statement: str, *parameters: Any) -> None:
    """Write as a hand in the database does."""
    with session():
        execute(statement, *parameters)


def mended(context: Context, number: int = 1) -> Findings:
    """Mend; return what was found. All of it is mended: nothing is found the second time."""
    before = fsck(context)
    found = fsck(context, repair=True)
    assert not before.clean
    assert (before.repaired, found.repaired) == (0, number)
    again = fsck(context, repair=True)
    assert again.clean
    assert again.repaired == 0
    assert fsck(context).clean
    return found


def test_healthy_service_is_clean(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.close(job_id, make.claimed(context, job_id)[:2])
    make.pending_job()
    for repair in (False, True):
        found = fsck(context, repair=repair)
        assert found.clean
        assert (found.jobs, found.repaired) == (2, 0)


def job_of_all_ends(context: Context) -> uuid.UUID:
    """Return an open job with two tasks of every end, one of them reused, and two open ones."""
    job_id = make.planned_job(context, tasks=10)
    claims = make.claimed(context, job_id)
    ends = [state for state in TaskState if state not in ("pending", "running")]
    for place, state in enumerate(ends):
        make.close(job_id, claims[2 * place : 2 * place + 2], state)
    do("UPDATE tasks SET reason = 'reused' WHERE seq = 0")
    do("UPDATE jobs SET reused = 1")
    return job_id


@pytest.mark.parametrize("amiss", [-1, 1])
@pytest.mark.parametrize("counter", COUNTERS)
def test_wrong_counter_of_each_kind_is_mended(context: Context, counter: str, amiss: int) -> None:
    job_id = job_of_all_ends(context)
    assert fsck(context).clean
    do(f"UPDATE jobs SET {counter} = {counter} + {amiss}")
    assert mended(context).wrong_counters == [str(job_id)]
    job = jobs.get(job_id)
    assert [getattr(job, name) for name in COUNTERS] == [10, 2, 2, 2, 2, 1]
    assert job.state == JobState.RUNNING


def test_wrong_counters_of_an_ended_job_are_mended(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.close(job_id, make.claimed(context, job_id))
    do("UPDATE jobs SET succeeded = 7, total = 7")
    assert mended(context).wrong_counters == [str(job_id)]
    job = jobs.get(job_id)
    assert (job.state, job.total, job.succeeded) == (JobState.SUCCEEDED, 3, 3)


def test_job_left_open_is_ended_once(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    make.claimed(context, job_id)
    do(
        "UPDATE tasks SET state = 'succeeded', worker = NULL, lease_until = NULL,"
        " finished_at = not_before"
    )
    do("UPDATE jobs SET succeeded = 1")
    make.take_messages()
    assert mended(context).left_open == [str(job_id)]
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    assert make.take_messages() == [("finish_job", (str(job_id),))]
    ends = [event for event in jobs.events(job_id) if event["to_state"] == "succeeded"]
    assert [event["actor"] for event in ends] == ["fsck"]


def test_job_left_open_by_its_counters_is_counted_then_ended(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    claims = make.claimed(context, job_id)
    do("UPDATE jobs SET total = 3")
    assert not make.close(job_id, claims)
    found = mended(context, 2)
    assert found.wrong_counters == found.left_open == [str(job_id)]
    assert jobs.get(job_id).state == JobState.SUCCEEDED


def test_open_task_of_an_ended_job_is_cancelled(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    claims = make.claimed(context, job_id)
    make.close(job_id, claims[:2])
    do(
        "UPDATE jobs SET state = 'succeeded', total = 2, succeeded = 2, finished_at = created_at,"
        " finalized_at = created_at"
    )
    found = mended(context, 2)
    assert found.left_over == found.wrong_counters == [str(job_id)]
    job = jobs.get(job_id)
    assert (job.state, job.total, job.succeeded, job.cancelled) == ("succeeded", 3, 2, 1)
    assert make.recount(job_id) == {"succeeded": 2, "cancelled": 1}
    assert jobs.events(job_id)[-1]["actor"] == "fsck"
    assert not make.close(job_id, claims), "its worker comes too late"


def lapse(context: Context, seconds: float) -> None:
    """Let every lease have lapsed so long ago."""
    past = dialect().later("%s")
    for table in ("tasks", "jobs"):
        where = "WHERE lease_until IS NOT NULL"
        do(f"UPDATE {table} SET lease_until = {past} {where}", -seconds)


def test_leases_of_dead_workers_are_taken_back(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    lost, live = make.planned_job(context, tasks=1), make.planned_job(context, tasks=1)
    unplanned = make.pending_job()
    make.claimed(context, job_id)
    make.claimed(context, lost)
    transitions.claim_job(unplanned, phase="plan", worker="dead", lease_s=60)
    lapse(context, context.settings.lease_s / 2)
    assert fsck(context).clean, "the sweep is about to come"
    lapse(context, context.settings.lease_s * 2)
    make.claimed(context, live)
    make.take_messages()
    assert mended(context, 5).lapsed_leases == 5
    assert make.recount(job_id) == {"pending": 3}
    assert make.recount(live) == {"running": 1}
    with session():
        told = execute("SELECT DISTINCT strikes FROM tasks WHERE job_id = %s", job_id.hex)
    assert told == [(1,)]
    job = jobs.get(unplanned)
    assert (job.worker, job.lease_until, job.attempt) == (None, None, 1)
    assert ("plan_trivial", (str(unplanned),)) in make.take_messages()
    assert jobs.events(unplanned)[-1]["message"] == "The worker was lost."


def test_lease_on_reports_of_a_dead_worker_is_taken_back(context: Context) -> None:
    job_id = make.planned_job(context, tasks=0)
    assert transitions.claim_job(job_id, phase="finish", worker="dead", lease_s=60)
    lapse(context, context.settings.lease_s * 2)
    make.take_messages()
    assert mended(context).lapsed_leases == 1
    assert make.take_messages() == [("finish_job", (str(job_id),))]


def test_more_lapsed_leases_than_a_sweep_takes_are_all_taken_back(context: Context) -> None:
    wide = Context(context.settings.model_copy(update={"window": 8}), context.blobs)
    job_id = make.planned_job(wide, tasks=2200)
    make.claimed(context, job_id)
    lapse(context, context.settings.lease_s * 2)
    assert mended(context, 2200).lapsed_leases == 2200
    assert make.recount(job_id) == {"pending": 2200}


def test_rows_of_a_job_that_is_gone_are_removed(context: Context) -> None:
    kept, gone = make.planned_job(context, tasks=2), make.planned_job(context, tasks=3)
    with no_foreign_keys(context):
        raw(context, "DELETE FROM jobs WHERE id = ?", gone)
    with session():
        [(events,)] = execute("SELECT count(*) FROM events WHERE job_id = %s", gone.hex)
    assert mended(context, 3 + events).homeless_rows == 3 + events
    assert len(make.task_ids(kept)) == 2
    assert make.task_ids(gone) == []


@contextmanager
def no_foreign_keys(context: Context) -> Iterator[None]:
    """Let rows lose their job; SQLite asks only those connections that want to be asked."""
    if not dialect().postgres:
        yield
        return
    key = "ALTER TABLE events {0} CONSTRAINT events_job_id_fkey {1}"
    do(key.format("DROP", ""))
    do("ALTER TABLE jobs DISABLE TRIGGER tasks_go_with_jobs")
    try:
        yield
    finally:
        do("ALTER TABLE jobs ENABLE TRIGGER tasks_go_with_jobs")
        told = "FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE NOT VALID"
        do(key.format("ADD", told))


def raw(context: Context, statement: str, job_id: uuid.UUID) -> None:
    """Write on a connection that is not ours."""
    url = context.settings.database
    if dialect().postgres:
        with psycopg.connect(url) as other:
            other.execute(statement.replace("?", "%s").encode(), (job_id,))
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.execute(statement, (job_id.hex,))


def test_only_files_that_no_row_needs_are_removed(context: Context) -> None:
    wanted, orphan = (context.blobs.put(text).digest for text in (b"wanted", b"orphan"))
    job_id = make.pending_job(source={"blobs": [wanted]})
    for folder in (str(job_id), "01890000-0000-7000-8000-000000000000"):
        with context.blobs.writing(f"jobs/{folder}/report.json") as stream:
            stream.write(b"{}")
    storage = Path(context.settings.storage)
    for name in ("spool/left-behind", f"jobs/{job_id}/{spool.PREFIX}half"):
        (storage / name).write_bytes(b"half")
    assert fsck(context, repair=True).clean, "young files may belong to a row to come"
    age(context)
    found = mended(context, 4)
    assert (found.orphan_blobs, found.spooled_files) == (2, 2)
    names = {file.name for file in context.blobs.listing()}
    assert names == {blob_name(wanted), f"jobs/{job_id}/report.json"}
    assert not context.blobs.exists(orphan)


def test_blob_of_a_task_is_kept_while_the_task_is_open(context: Context) -> None:
    digest = context.blobs.put(b"pack").digest
    job_id = make.planned_job(context, tasks=2)
    do("UPDATE tasks SET payload = %s", f'{{"blobs": ["{digest}"]}}')
    age(context)
    claims = make.claimed(context, job_id)
    make.close(job_id, claims[:1])
    assert fsck(context, repair=True).clean
    make.close(job_id, claims)
    assert mended(context).orphan_blobs == 1


def test_file_that_somebody_is_writing_is_left_alone(context: Context) -> None:
    """A writer whose file has a name holds it, be its last word hours ago."""
    context.blobs.put(b"makes the folders")
    path = Path(context.settings.storage, "spool", "slow")
    with path.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        age(context)
        assert fsck(context, repair=True).spooled_files == 0
        assert path.exists()
    assert fsck(context, repair=True).spooled_files == 1
    assert not path.exists()


def test_blob_put_again_is_young_again(context: Context) -> None:
    digest = context.blobs.put(b"content").digest
    age(context)
    context.blobs.put(b"content")
    assert fsck(context, repair=True).clean
    assert context.blobs.exists(digest)


def test_blob_put_again_while_it_is_looked_at_is_kept(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = context.blobs.put(b"content").digest
    age(context)
    listed = list(context.blobs.listing())

    def listing(blobs: BlobStore) -> Any:
        blobs.put(b"content")
        return iter(listed)

    monkeypatch.setattr(BlobStore, "listing", listing)
    assert fsck(context, repair=True).repaired == 0
    assert context.blobs.exists(digest)


def test_missing_blobs_are_told_and_stay_told(context: Context) -> None:
    source = make.pending_job(source={"blobs": [GONE]})
    pack = make.planned_job(context, tasks=2)
    do("UPDATE tasks SET payload = %s", f'{{"blobs": ["{GONE}"]}}')
    wanted = sorted([str(source), str(pack)])
    for repair in (False, True, True):
        found = fsck(context, repair=repair)
        assert not found.clean
        assert (found.missing_blobs, found.repaired) == (wanted, 0)
    make.close(pack, make.claimed(context, pack))
    assert fsck(context).missing_blobs == [str(source)], "a task that has ended needs none"


@pytest.mark.parametrize("document", ["{half", "[]", '{"blobs": [7]}', '{"blobs": 7}'])
def test_document_that_nobody_can_read_stops_no_check(context: Context, document: str) -> None:
    job_id = make.planned_job(context, tasks=1, source={"blobs": [GONE]})
    do("UPDATE tasks SET payload = %s", document)
    assert fsck(context).missing_blobs == [str(job_id)]


def test_temporary_files_of_dead_processes_are_removed(context: Context, temporary: Path) -> None:
    dead, young, other = (
        temporary / name for name in (f"{spool.PREFIX}dead", f"{spool.PREFIX}young", "other")
    )
    for path in (dead, young, other):
        path.write_bytes(b"half")
    make_old(dead)
    make_old(other)
    live = temporary / f"{spool.PREFIX}live"
    with live.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        make_old(live)
        assert mended(context).temporary_files == 1
    assert sorted(temporary.iterdir()) == sorted([live, other, young])


def test_repair_beside_submitters_and_workers_harms_nothing(context: Context) -> None:
    """All put what has lain about for hours and nobody needed, until now."""
    contents = [b"content %d" % n for n in range(40)]
    digests = {context.blobs.put(content).digest: content for content in contents}
    ended = threading.Event()
    begun: list[uuid.UUID] = []

    def submit(first: int) -> None:
        for digest, content in list(digests.items())[first::2]:
            assert context.blobs.put(content).digest == digest
            begun.append(make.pending_job(tasks=5, source={"blobs": [digest]}))

    def work() -> None:
        while not ended.is_set() or any(jobs.get(job_id).finished_at is None for job_id in begun):
            for job_id in list(begun):
                planning.run_plan(job_id, context)
                make.close(job_id, make.claimed(context, job_id))

    def check() -> int:
        removed = 0
        while not ended.is_set():
            found = fsck(context, repair=True, grace_s=3600)
            removed += found.orphan_blobs
            assert found == Findings(
                jobs=found.jobs,
                orphan_blobs=found.orphan_blobs,
                orphan_bytes=found.orphan_bytes,
                repaired=found.repaired,
            ), "live jobs are sound at every moment"
        return removed

    age(context)
    with ThreadPoolExecutor(5) as threads:
        checks: list[Future[Any]] = [threads.submit(check) for _ in range(2)]
        submitters = [threads.submit(submit, first) for first in range(2)]
        worker = threads.submit(work)
        wait(submitters, timeout=60)
        ended.set()
        for each in (*submitters, worker, *checks):
            each.result(60)
    assert len(begun) == len(contents)
    assert all(context.blobs.exists(digest) for digest in digests)
    assert {jobs.get(job_id).state for job_id in begun} == {JobState.SUCCEEDED}
    assert fsck(context).clean


def test_reason_of_a_task_cancelled_by_repair_is_told(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    do(
        "UPDATE jobs SET state = 'succeeded', total = 0, finished_at = created_at,"
        " finalized_at = created_at"
    )
    fsck(context, repair=True)
    with session():
        told = execute("SELECT state, reason, message FROM tasks WHERE job_id = %s", job_id.hex)
    assert told == [("cancelled", Reason.CANCELLED, "The job had ended without it.")]
