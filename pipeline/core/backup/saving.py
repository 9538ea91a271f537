"""Takes a backup beside work: what rows name, then the rows, then what has come to be named.

Files are copied twice, by name: first what the rows need now, which may take long, then, the rows
of one moment copied, what those need and is not there yet. That is little, and young, so that no
cleanup takes it in between.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline import clock, jsontext
from pipeline.adapters import pg_programs
from pipeline.core import storage_check
from pipeline.core.backup.folder import FORM, Entry, Folder, Header, digest_of
from pipeline.core.context import Context
from pipeline.errors import NotFound, Permanent
from pipeline.settings import Settings
from pipeline.store import copies, schema
from pipeline.store.blobs import BlobStore, StoredFile
from pipeline.store.copies import Frozen
from pipeline.store.database import dialect, execute, session

#: Backups that stay in a folder.
KEEP = 7

BLOBS = "sha256/"


@dataclass(slots=True)
class Saved:
    """What a backup holds; ``copied`` of its files were not in the folder before.

    ``lost``: what a row names and is not stored, or not as it was.
    """

    name: str = ""
    files: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    rows_bytes: int = 0
    removed: int = 0
    lost: list[str] = field(default_factory=list)


def save(context: Context, path: Path, *, keep: int = KEEP, dry_run: bool = False) -> Saved:
    """A backup of this moment is in the folder, beside the ``keep`` - 1 newest before it.

    With ``dry_run`` nothing is written, and what would be copied is counted. Raises ``Conflict``
    while another is written there. Killed at any line it leaves the backups before as they were.
    """
    folder = Folder(path)
    if dry_run:
        return _counted(context, folder)
    with folder.locked():
        told = Saved(name=f"{clock.now():%Y%m%dT%H%M%S.%f}"[:-3] + "Z")
        saving = _Saving(context, folder, told)
        saving.copy_ahead()
        with _rows(context.settings, path / f"rows-{told.name}") as (rows, frozen):
            told.rows_bytes = rows.stat().st_size
            header = Header(
                *(FORM, told.name, dialect().name, schema.done()),
                *(rows.name, told.rows_bytes, digest_of(rows)),
            )
            lines = path / f".{told.name}.files"
            with lines.open("wb") as out:
                for entry in saving.entries(frozen):
                    out.write(jsontext.encoded(asdict(entry)) + b"\n")
        folder.publish(header, lines)
        told.removed = folder.prune(keep)
    return told


class _Saving:
    """Copies what rows name from the storage into a folder."""

    def __init__(self, context: Context, folder: Folder, told: Saved) -> None:
        self._storage = context.blobs
        self._folder = folder
        self._told = told
        self._before = _before(folder)

    def copy_ahead(self) -> None:
        """The blobs that rows name now are in the folder, as far as they are there."""
        for _, names in storage_check.needs():
            for name in names:
                self._copied(name)

    def entries(self, frozen: Frozen) -> Iterator[Entry]:
        """Copy, and yield, every file of these rows once; note what is lost."""
        seen: set[str] = set()
        for job, names in storage_check.needs(frozen.read):
            for name in names:
                if name in seen:
                    continue
                seen.add(name)
                entry = self._copied(name)
                if entry is not None:
                    yield self._counted(entry)
                else:
                    self._told.lost.append(f"{name} (job {job})")
        for file in _files_of_jobs(self._storage, frozen):
            entry = self._copied_file(file)
            if entry is not None:
                yield self._counted(entry)

    def _counted(self, entry: Entry) -> Entry:
        self._told.files += 1
        self._told.bytes += entry.size_bytes
        return entry

    def _copied(self, name: str) -> Entry | None:
        """Return the blob's entry, the folder having it; None when it is gone, or another now."""
        digest = name.removeprefix(BLOBS).replace("/", "")
        size = self._folder.blobs.size(digest)
        if size is None:
            put = self._put(name)
            if put is None or put[0] != digest:
                return None
            size = put[1]
        return Entry(name, size, digest, 0.0)

    def _copied_file(self, file: StoredFile) -> Entry | None:
        """Return the entry of a file that is written anew under its name; None when it is gone."""
        known = self._before.get(file.name)
        if known and (known.size_bytes, known.written_at) == (file.size_bytes, file.written_at):
            return known
        put = self._put(file.name)
        return None if put is None else Entry(file.name, put[1], put[0], file.written_at)

    def _put(self, name: str) -> tuple[str, int] | None:
        try:
            stream = self._storage.open_named(name)
        except NotFound:
            return None
        with closing(stream):
            blob = self._folder.blobs.put(stream)
        self._told.copied += 1
        self._told.copied_bytes += blob.size_bytes
        return blob.digest, blob.size_bytes


def _counted(context: Context, folder: Folder) -> Saved:
    told, before = Saved(), _before(folder)
    for name in {name for _, names in storage_check.needs() for name in names}:
        size = context.blobs.size(name.removeprefix(BLOBS).replace("/", ""))
        if size is None:
            told.lost.append(name)
            continue
        told.files, told.bytes = told.files + 1, told.bytes + size
        if not folder.blobs.has_named(name):
            told.copied, told.copied_bytes = told.copied + 1, told.copied_bytes + size
    for file in context.blobs.listing("jobs"):
        if not storage_check.is_of_a_job(file.name):
            continue
        told.files, told.bytes = told.files + 1, told.bytes + file.size_bytes
        known = before.get(file.name)
        if known is None or known.written_at != file.written_at:
            told.copied, told.copied_bytes = told.copied + 1, told.copied_bytes + file.size_bytes
    return told


def _before(folder: Folder) -> dict[str, Entry]:
    """Return the files of the newest backup that are not known by their content."""
    newest = folder.names()[-1:]
    try:
        return {
            entry.name: entry
            for name in newest
            for entry in folder.entries(name)
            if not entry.name.startswith(BLOBS) and folder.blobs.exists(entry.sha256)
        }
    except Permanent:
        return {}  # What is damaged there is copied anew.


def _files_of_jobs(storage: BlobStore, frozen: Frozen) -> Iterator[StoredFile]:
    for file in storage.listing("jobs"):
        job_id = storage_check.job_of(file.name)
        if job_id and frozen.has("SELECT 1 FROM jobs WHERE id = %s", job_id.hex):
            yield file


@contextmanager
def _rows(settings: Settings, to: Path) -> Iterator[tuple[Path, Frozen]]:
    """Yield the file of all rows, whole and flushed, and the same rows to be read."""
    if dialect().postgres:
        path = _private(to.with_name(f"{to.name}.dump"))
        with copies.frozen_postgres(settings.database) as (frozen, server):
            pg_programs.dump(settings.database, path, snapshot=frozen.snapshot, server=server)
            yield _flushed(path), frozen
        return
    path = _private(to.with_name(f"{to.name}.sqlite"))
    with session():
        [(_, _, source)] = [row for row in execute("PRAGMA database_list") if row[1] == "main"]
    copies.copy_sqlite(Path(source), path, timeout_s=settings.database_timeout_s)
    with copies.frozen_sqlite(_flushed(path)) as frozen:
        yield path, frozen


def _private(path: Path) -> Path:
    """Rows hold the deployment's secret."""
    path.touch(mode=0o600)
    return path


def _flushed(path: Path) -> Path:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path
