"""Checks what the rows promise against a recount, and the storage against the rows.

What can be wrong after a crash, a restored backup or a hand in the database: counters that are not
what the tasks say, a job left open though nothing of it is, blobs nobody refers to (each write is
whole, but a process may die between a blob and its row), spooled files of dead writers.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.core import finishing, transitions
from pipeline.core.context import Context
from pipeline.core.rollup import ENDED
from pipeline.store.blobs import blob_name
from pipeline.store.database import as_uuid, dialect, execute, session, stream, transaction
from pipeline.store.models import JobRow

#: Stored files younger than this may belong to a row that is about to be committed, in seconds.
GRACE_S = 3600.0


@dataclass(slots=True)
class Findings:
    """What a check found; ``repaired`` counts what it mended."""

    jobs: int = 0
    wrong_counters: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    missing_sources: list[str] = field(default_factory=list)
    orphan_blobs: int = 0
    orphan_bytes: int = 0
    spooled_files: int = 0
    repaired: int = 0

    @property
    def clean(self) -> bool:
        """True when nothing was found that needs mending."""
        return not (
            self.wrong_counters
            or self.left_open
            or self.missing_sources
            or self.orphan_blobs
            or self.spooled_files
        )


def fsck(context: Context, *, repair: bool = False, grace_s: float = GRACE_S) -> Findings:
    """Check every job and every stored file; with ``repair`` mend what can be mended.

    Safe beside running workers: jobs are recounted in their own transaction, and files younger
    than ``grace_s`` are left alone.
    """
    found = Findings()
    for job in _jobs():
        found.jobs += 1
        _check_job(job, found, context, repair=repair)
    _check_files(found, context, repair=repair, grace_s=grace_s)
    return found


def _jobs() -> Iterator[JobRow]:
    first = uuid.UUID(int=0).hex
    for (job_id,) in stream(
        "SELECT id FROM jobs WHERE id > %s ORDER BY id LIMIT %s", (first,), chunk=500
    ):
        with session():
            row = JobRow.get_or_none(JobRow.id == as_uuid(job_id))
        if row is not None:
            yield row


def _check_job(job: JobRow, found: Findings, context: Context, *, repair: bool) -> None:
    with transaction():
        sql = dialect()
        told = execute(
            "SELECT total, succeeded, failed, timed_out, cancelled, reused, state, planned_at"
            f" IS NOT NULL FROM jobs WHERE id = %s{' FOR UPDATE' if sql.postgres else ''}",
            job.id.hex,
        )
        if not told:
            return
        *counters, state, planned = told[0]
        rows = execute(
            "SELECT state, count(*), sum(CASE WHEN reason = 'reused' AND state = 'succeeded'"
            " THEN 1 ELSE 0 END) FROM tasks WHERE job_id = %s GROUP BY state",
            job.id.hex,
        )
        counted = Counter({row[0]: row[1] for row in rows})
        true = [counted.total(), *(counted[end] for end in ENDED), sum(row[2] for row in rows)]
        if counters != true:
            found.wrong_counters.append(str(job.id))
            if repair:
                _set_counters(job.id, true)
                found.repaired += 1
    if state == "running" and planned and true[0] == sum(true[1:5]):
        found.left_open.append(str(job.id))
        if repair and transitions.end_if_done(job.id, actor="fsck"):
            finishing.announce(job.id)
            found.repaired += 1
    wanted = (job.source or {}).get("blobs", ())
    if not all(context.blobs.exists(digest) for digest in wanted):
        found.missing_sources.append(str(job.id))


def _set_counters(job_id: uuid.UUID, true: list[int]) -> None:
    execute(
        "UPDATE jobs SET total = %s, succeeded = %s, failed = %s, timed_out = %s, cancelled = %s,"
        " reused = %s WHERE id = %s",
        *(*true, job_id.hex),
    )


def _check_files(found: Findings, context: Context, *, repair: bool, grace_s: float) -> None:
    before = time.time() - grace_s
    needed = _needed()
    for file in context.blobs.listing():
        if file.written_at > before:
            continue
        if file.name.startswith("spool/"):
            found.spooled_files += 1
        elif file.name not in needed and not _of_a_job(file.name):
            found.orphan_blobs += 1
            found.orphan_bytes += file.size_bytes
        else:
            continue
        if repair:
            context.blobs.remove(file.name)
            found.repaired += 1


def _needed() -> set[str]:
    """Return the names of the files that some row refers to: sources, baselines, open packs."""
    needed: set[str] = set()
    first = uuid.UUID(int=0).hex
    documents = (
        "SELECT id, source FROM jobs WHERE id > %s ORDER BY id LIMIT %s",
        "SELECT id, payload FROM tasks WHERE state IN ('pending', 'running') AND id > %s"
        " ORDER BY id LIMIT %s",
    )
    for statement in documents:
        for _, document in stream(statement, (first,)):
            digests = json.loads(document or "{}").get("blobs", ())
            needed.update(blob_name(digest) for digest in digests)
    return needed


def _of_a_job(name: str) -> bool:
    folder, _, rest = name.partition("/")
    if folder != "jobs":
        return False
    try:
        job_id = uuid.UUID(rest.partition("/")[0])
    except ValueError:
        return False
    with session():
        return bool(JobRow.get_or_none(JobRow.id == job_id))
