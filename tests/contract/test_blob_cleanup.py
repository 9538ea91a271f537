"""Stored files that no row needs go; none that a row needs, or is about to, ever does."""

import fcntl
import hashlib
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core import jobs
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.upkeep.retention import clean_old_data
from pipeline.core.upkeep.rubbish import clean_resources
from pipeline.errors import NotFound
from pipeline.settings import Settings
from pipeline.store.blobs import BlobStore, blob_name
from pipeline.store.database import execute, session
from tests.support import factories as make

#: Few contents, so that everybody is after the same.
CONTENTS = [b"content %d" % n for n in range(12)]
#: How long each of the races goes on, in seconds.
RACE_S = 2.5


def old(context: Context) -> None:
    """Make every stored file two hours old."""
    told = time.time() - 7200
    for path in Path(context.settings.storage).rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                os.utime(path, (told, told))


def test_only_what_no_row_needs_goes(context: Context) -> None:
    wanted, orphan = (context.blobs.put(text).digest for text in (b"wanted", b"orphan"))
    job_id = make.pending_job(source={"blobs": [wanted]})
    for folder in (str(job_id), "01890000-0000-7000-8000-000000000000"):
        with context.blobs.writing(f"jobs/{folder}/report.json") as stream:
            stream.write(b"{}")
    Path(context.settings.storage, "spool", "half").write_bytes(b"half")
    assert clean_resources(context).removed == 0, "what is young may belong to a row to come"
    old(context)
    dry = clean_resources(context, dry_run=True)
    assert (dry.orphan_files, dry.spooled_files, dry.removed) == (2, 1, 0)
    assert context.blobs.exists(orphan), "a dry run removes nothing"
    done = clean_resources(context)
    assert (done.orphan_files, done.spooled_files, done.removed) == (2, 1, 3)
    assert {file.name for file in context.blobs.listing()} == {
        blob_name(wanted),
        f"jobs/{job_id}/report.json",
    }
    assert clean_resources(context).removed == 0


def test_blob_that_is_made_young_is_kept(context: Context) -> None:
    digest = context.blobs.put(b"known to a form by its digest").digest
    old(context)
    assert context.blobs.renew(digest)
    assert clean_resources(context).removed == 0
    old(context)
    assert clean_resources(context).removed == 1
    assert not context.blobs.renew(digest)


def test_blob_put_again_between_the_look_at_it_and_its_removal_is_kept(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment of a cleanup somebody submits the same content; its row comes later."""
    digest = context.blobs.put(b"content").digest
    remove_old = BlobStore.remove_old

    def late(blobs: BlobStore, name: str, *, before: float) -> bool:
        context.blobs.put(b"content")
        return remove_old(blobs, name, before=before)

    old(context)
    monkeypatch.setattr(BlobStore, "remove_old", late)
    assert clean_resources(context).removed == 0
    assert context.blobs.exists(digest)


class Storage:
    """Acts on one storage, done again and again by threads of their own."""

    def __init__(self, root: Path) -> None:
        self.blobs = BlobStore(str(root))
        self.root = root
        self.lost: list[str] = []
        self.done: Counter[str] = Counter()

    def put(self) -> None:
        """Whoever has put a content finds it, if he looks within what stands for an hour."""
        began = time.monotonic()
        digest = self.blobs.put(random.choice(CONTENTS)).digest
        self.done["put"] += 1
        if not self.blobs.exists(digest) and time.monotonic() - began < 0.01:
            self.lost.append(digest)

    def remove(self) -> None:
        """Remove what nobody has put for a moment, which stands for an hour."""
        before = time.time() - 0.05
        for file in self.blobs.listing():
            self.done["removed"] += self.blobs.remove_old(file.name, before=before)

    def rest(self) -> None:
        """Let what nobody has put for less than that grow old at once."""
        for file in self.blobs.listing():
            with suppress(FileNotFoundError), (self.root / file.name).open("rb") as held:
                # Nobody makes it young between the look at its age and the change of it.
                fcntl.flock(held, fcntl.LOCK_EX)
                if time.time() - os.fstat(held.fileno()).st_mtime > 0.02:
                    os.utime(held.fileno(), (1, 1))


def race(*acts: Callable[[], None]) -> None:
    """Do each of the acts, again and again, beside the others."""
    ends_at = time.monotonic() + RACE_S

    def forever(act: Callable[[], None]) -> None:
        while time.monotonic() < ends_at:
            act()

    with ThreadPoolExecutor(len(acts)) as threads:
        for each in [threads.submit(forever, act) for act in acts]:
            each.result(60)


def test_removal_and_put_of_one_file_wait_for_each_other(tmp_path: Path) -> None:
    """A file is young, or it is gone and put anew: never is a put one lost."""
    told = Storage(tmp_path / "blobs")
    race(told.put, told.put, told.remove, told.remove, told.rest)
    assert told.lost == []
    assert told.done["put"] > 50
    assert told.done["removed"] > 0


class Deployment:
    """Jobs of few contents, submitted, run again, removed; every file is old but those in hand."""

    def __init__(self, context: Context) -> None:
        settings = context.settings.model_copy(update={"retention_days": "0.000001"})
        self.context = replace(context, settings=settings)
        self.blobs = context.blobs
        self.done: Counter[str] = Counter()
        # Put, and its row not yet committed: that takes less than the hour of grace.
        self._in_hand: Counter[str] = Counter()
        self._lock = threading.Lock()

    def submit(self) -> None:
        """Put a content, then write the row of a job that needs it, and end the job later."""
        content = random.choice(CONTENTS)
        name = blob_name(hashlib.sha256(content).hexdigest())
        with self._lock:
            self._in_hand[name] += 1
        digest = self.blobs.put(content).digest
        told = Submission("trivial", {"tasks": 0}, source={"blobs": [digest]})
        job_id = jobs.submit(told, heard=False)
        with self._lock:
            self._in_hand[name] -= 1
        assert self.blobs.exists(digest), "a job that is there has its blob"
        self.done["submitted"] += 1
        self.end(job_id)

    def end(self, job_id: uuid.UUID) -> None:
        """The job has ended, its reports are written, and it was kept long enough."""
        with session():
            execute(
                "UPDATE jobs SET state = 'succeeded', planned_at = created_at,"
                " finished_at = created_at, finalized_at = created_at WHERE id = %s",
                job_id.hex,
            )

    def again(self) -> None:
        """Run jobs again that may be removed in the same moment."""
        for job in jobs.listed(limit=3, state="succeeded"):
            with suppress(NotFound):
                self.end(jobs.retry(job.id, Settings(), actor="ann", heard=False))
                self.done["retried"] += 1

    def look(self) -> None:
        """A blob may be gone only once its job is."""
        for job in jobs.listed(limit=50):
            [digest] = job.source["blobs"]
            if not self.blobs.exists(digest):
                with pytest.raises(NotFound):
                    jobs.get(job.id)
            self.done["looked"] += 1

    def remove(self) -> None:
        """Remove all jobs that have ended."""
        self.done["jobs"] += clean_old_data(self.context).jobs

    def clean(self) -> None:
        """Two at once remove all files that nobody needs. Between two such rounds hours pass: what
        is young when a cleanup begins is young until its end."""
        self.age()
        with ThreadPoolExecutor(2) as threads:
            for each in [threads.submit(clean_resources, self.context) for _ in range(2)]:
                self.done["files"] += each.result(60).orphan_files

    def age(self) -> None:
        """Make every file old that nobody has in hand."""
        for file in self.blobs.listing():
            with self._lock, suppress(FileNotFoundError):
                if not self._in_hand[file.name]:
                    os.utime(Path(self.context.settings.storage, file.name), (1, 1))


def test_job_never_loses_its_blob_beside_retention_cleanup_and_retries(context: Context) -> None:
    told = Deployment(context)
    race(told.submit, told.submit, told.again, told.look, told.remove, told.clean)
    told.look()
    print(told.done)
    for act in ("submitted", "retried", "looked", "jobs", "files"):
        assert told.done[act] > 0, act
