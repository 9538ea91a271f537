"""The check finds what a crash or a hand in the database can leave, mends it, and harms nothing."""

import os
from pathlib import Path

from pipeline.core import jobs
from pipeline.core.context import Context
from pipeline.core.fsck import fsck
from pipeline.states import JobState
from pipeline.store.blobs import blob_name
from pipeline.store.database import execute, session
from tests.support import factories as make


def age(context: Context) -> None:
    """Make every stored file two hours old."""
    for path in Path(context.settings.storage).rglob("*"):
        if path.is_file():
            told = path.stat().st_mtime - 7200
            os.utime(path, (told, told))


def test_healthy_service_is_clean(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.close(job_id, make.claimed(context, job_id)[:2])
    make.pending_job()
    found = fsck(context)
    assert found.clean
    assert found.jobs == 2


def test_wrong_counters_are_found_and_mended(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    make.close(job_id, make.claimed(context, job_id)[:2])
    with session():
        execute("UPDATE jobs SET succeeded = 1, total = 7")
    assert fsck(context).wrong_counters == [str(job_id)]
    assert fsck(context, repair=True).repaired == 1
    job = jobs.get(job_id)
    assert (job.total, job.succeeded) == (3, 2)
    assert fsck(context).clean


def test_job_left_open_is_ended_once(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    make.claimed(context, job_id)
    with session():
        execute(
            "UPDATE tasks SET state = 'succeeded', worker = NULL, lease_until = NULL,"
            " finished_at = not_before"
        )
        execute("UPDATE jobs SET succeeded = 1")
    make.take_messages()
    assert fsck(context).left_open == [str(job_id)]
    fsck(context, repair=True)
    assert jobs.get(job_id).state == JobState.SUCCEEDED
    assert make.take_messages() == [("finish_job", (str(job_id),))]
    assert fsck(context).clean


def test_only_files_that_no_row_needs_are_removed(context: Context) -> None:
    wanted, orphan = (context.blobs.put(text).digest for text in (b"wanted", b"orphan"))
    job_id = make.pending_job(source={"blobs": [wanted]})
    for folder in (str(job_id), "01890000-0000-7000-8000-000000000000"):
        with context.blobs.writing(f"jobs/{folder}/report.json") as stream:
            stream.write(b"{}")
    spool = Path(context.settings.storage, "spool", "left-behind")
    spool.write_bytes(b"half")
    assert fsck(context).clean, "young files may belong to a row to come"
    age(context)
    found = fsck(context, repair=True)
    assert (found.orphan_blobs, found.spooled_files) == (2, 1)
    names = {file.name for file in context.blobs.listing()}
    assert names == {blob_name(wanted), f"jobs/{job_id}/report.json"}
    assert not context.blobs.exists(orphan)


def test_blob_put_again_is_young_again(context: Context) -> None:
    digest = context.blobs.put(b"content").digest
    age(context)
    context.blobs.put(b"content")
    fsck(context, repair=True)
    assert context.blobs.exists(digest)


def test_missing_source_is_told(context: Context) -> None:
    job_id = make.pending_job(source={"blobs": ["0" * 64]})
    assert fsck(context).missing_sources == [str(job_id)]
