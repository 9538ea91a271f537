"""The stored files against the rows: what nobody needs, and what somebody needs and is gone."""

import json
import uuid
from collections.abc import Iterator
from itertools import chain

from pipeline.store.blobs import BlobStore, StoredFile, blob_name
from pipeline.store.database import as_uuid, execute, session, stream
from pipeline.store.spool import PREFIX

#: Documents whose ``blobs`` have to be there: of every job, and of tasks that are still to be done.
_DOCUMENTS = (
    "SELECT id, id, source FROM jobs WHERE id > %s ORDER BY id LIMIT %s",
    "SELECT id, job_id, payload FROM tasks WHERE state IN ('pending', 'running') AND id > %s"
    " ORDER BY id LIMIT %s",
)


def check(blobs: BlobStore, missing: list[str], *, before: float) -> Iterator[StoredFile]:
    """Yield the files, written before then, that no row needs; note in ``missing`` the jobs whose
    blobs are gone."""
    # First: what a row needs that comes later was put later, too, and is young.
    needed = {name for _, names in _needs() for name in names}
    gone = set(needed)
    for file in blobs.listing():
        gone.discard(file.name)
        if file.name in needed or file.written_at >= before:
            continue
        if is_spooled(file.name) or not _of_a_job(file.name):
            yield file
    # A listing leaves out a folder that changes under it.
    gone = {name for name in gone if not blobs.has_named(name)}
    if gone:
        missing += sorted({job for job, names in _needs() if not gone.isdisjoint(names)})


def is_spooled(name: str) -> bool:
    """Tell whether it is a file that is, or was, being written."""
    return name.startswith("spool/") or name.rpartition("/")[2].startswith(PREFIX)


def _needs() -> Iterator[tuple[str, list[str]]]:
    """Yield a job and the names of the files that it, or one of its tasks, refers to."""
    first = uuid.UUID(int=0).hex
    rows = chain.from_iterable(stream(statement, (first,)) for statement in _DOCUMENTS)
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


def _of_a_job(name: str) -> bool:
    folder, _, rest = name.partition("/")
    if folder != "jobs":
        return False
    try:
        job_id = uuid.UUID(rest.partition("/")[0])
    except ValueError:
        return False
    with session():
        return bool(execute("SELECT 1 FROM jobs WHERE id = %s", job_id.hex))
