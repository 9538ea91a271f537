"""The stored files against the rows: what nobody needs, and what somebody needs and is gone.

A blob is known by its content, so somebody may submit again what is being removed. What keeps that
blob: whoever refers to a blob puts it, or makes it young, within ``GRACE_S`` before the row is
committed; the rows are read before a file is looked at, so that a row which comes later has a young
blob; and a file's age is looked at under the lock that making it young takes
(``spool.remove_free``), so that either it is young then, or it is gone and is put anew. A job that
is run again takes its blobs over from a row that stays until the new one is there
(``jobs.submit``).
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pipeline.store import spool
from pipeline.store.blobs import BlobStore, StoredFile, blob_name
from pipeline.store.database import as_uuid, execute, session, stream
from pipeline.store.spool import PREFIX

#: Stored files younger than this may belong to a row that is about to be committed, in seconds. A
#: plan, the longest that writes blobs before rows, is ended after 20 minutes (``actors/``).
GRACE_S = 3600.0

#: Reads a keyset statement from its parameters on, as ``stream`` does.
Reader = Callable[[str, Sequence[Any]], Iterator[tuple[Any, ...]]]

#: Documents whose ``blobs`` have to be there: of every template that is used, every schedule and
#: job, and of tasks that are to be done. In this order: who takes over a blob from the one before
#: is read after it.
_DOCUMENTS = (
    "SELECT id, id, source FROM templates WHERE retired_at IS NULL AND id > %s"
    " ORDER BY id LIMIT %s",
    "SELECT id, id, source FROM schedules WHERE id > %s ORDER BY id LIMIT %s",
    "SELECT id, id, source FROM jobs WHERE id > %s ORDER BY id LIMIT %s",
    "SELECT id, job_id, payload FROM tasks WHERE state IN ('pending', 'running') AND id > %s"
    " ORDER BY id LIMIT %s",
)


@dataclass(slots=True)
class Rubbish:
    """Files that nobody needs; ``removed`` counts those that are gone now."""

    orphan_files: int = 0
    orphan_bytes: int = 0
    spooled_files: int = 0
    temporary_files: int = 0
    removed: int = 0


def clean(
    blobs: BlobStore,
    *,
    remove: bool,
    grace_s: float = GRACE_S,
    missing: list[str] | None = None,
) -> Rubbish:
    """Count, or remove, stored files that no row needs, and this machine's files of dead writers.

    What is younger than ``grace_s`` is left alone. Safe beside submitters, workers and itself; a
    file that went, or became young, in the same moment is not counted. ``missing`` is given the
    jobs whose blobs are gone.
    """
    found, before = Rubbish(), time.time() - grace_s
    for file in _unneeded(blobs, missing, before=before):
        if remove and not blobs.remove_old(file.name, before=before):
            continue
        found.removed += remove
        if is_spooled(file.name):
            found.spooled_files += 1
        else:
            found.orphan_files += 1
            found.orphan_bytes += file.size_bytes
    for path in spool.abandoned(spool.temporary_folder(), before=before):
        found.temporary_files += 1
        found.removed += remove and spool.remove_free(path, before=before)
    return found


def _unneeded(
    blobs: BlobStore, missing: list[str] | None, *, before: float
) -> Iterator[StoredFile]:
    # First: what a row needs that comes later was put later, too, and is young.
    needed = {name for _, names in needs() for name in names}
    gone = set(needed)
    for file in blobs.listing():
        gone.discard(file.name)
        if file.name in needed or file.written_at >= before:
            continue
        if is_spooled(file.name) or not is_of_a_job(file.name):
            yield file
    if missing is None:
        return
    # A listing leaves out a folder that changes under it.
    gone = {name for name in gone if not blobs.has_named(name)}
    if gone:
        missing += sorted({job for job, names in needs() if not gone.isdisjoint(names)})


def is_spooled(name: str) -> bool:
    """Tell whether it is a file that is, or was, being written."""
    return name.startswith("spool/") or name.rpartition("/")[2].startswith(PREFIX)


def needs(read: Reader = stream) -> Iterator[tuple[str, list[str]]]:
    """Yield a job, schedule or template, and the names of the files that it, or a task, needs.

    ``read``: from other rows than those of the open database.
    """
    first = uuid.UUID(int=0).hex
    rows = chain.from_iterable(read(statement, (first,)) for statement in _DOCUMENTS)
    for _, job_id, document in rows:
        yield str(as_uuid(job_id)), _names(document)


def _names(document: str | None) -> list[str]:
    """Return what the document refers to; one that nobody can read refers to nothing."""
    try:
        told = json.loads(document or "{}")
    except ValueError:
        return []
    digests = told.get("blobs") if isinstance(told, dict) else ()
    if not isinstance(digests, list):
        return []
    return [blob_name(digest) for digest in digests if isinstance(digest, str)]


def job_of(name: str) -> uuid.UUID | None:
    """Return the job that a stored file is kept for as long as the job is; None: for none."""
    folder, _, rest = name.partition("/")
    try:
        return uuid.UUID(rest.partition("/")[0]) if folder == "jobs" else None
    except ValueError:
        return None


def is_of_a_job(name: str) -> bool:
    """Tell whether the stored file is of a job that is there."""
    job_id = job_of(name)
    if job_id is None:
        return False
    with session():
        return bool(execute("SELECT 1 FROM jobs WHERE id = %s", job_id.hex))
