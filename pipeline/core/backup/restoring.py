"""Puts a backup back: first its files, each checked, then its rows, all at once.

So no row ever names a file that is not there, and whoever is killed in between does it again.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters import pg_programs
from pipeline.core.backup.folder import Entry, Folder, Header, digest_of, digest_of_stream
from pipeline.core.context import open_storage
from pipeline.errors import Conflict, Permanent, Refused
from pipeline.settings import Settings
from pipeline.store import copies, database, schema
from pipeline.store.blobs import BlobStore
from pipeline.store.database import dialect, execute, session

#: What every deployment writes by itself.
_OWN = frozenset({"migratehistory", "deployment", "health", "leases", "sqlite_sequence"})


@dataclass(slots=True)
class Restored:
    """What was put back; ``copied`` of the files were not stored before."""

    name: str = ""
    files: int = 0
    bytes: int = 0
    copied: int = 0
    migrations: int = 0


def restore(
    settings: Settings,
    path: Path,
    *,
    name: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> Restored:
    """The database and the storage hold what they did when the backup, or the newest, was taken.

    No worker or scheduler may be at work there. Raises ``Conflict`` for a database that has rows,
    unless they may be replaced; ``Permanent`` where the backup is damaged, before anything is
    changed in the database. With ``dry_run`` the backup is checked, all of it, and nothing written.
    """
    folder = Folder(path)
    header = folder.find(name)
    told = Restored(header.name)
    rows = _checked_rows(folder, header)
    database.open_database(
        settings.database, pool=settings.database_pool, timeout_s=settings.database_timeout_s
    )
    try:
        _check_target(header, replace=replace or dry_run)
        storage = open_storage(settings)
        for entry in folder.entries(header.name):
            told.files, told.bytes = told.files + 1, told.bytes + entry.size_bytes
            if dry_run:
                _check(folder.blobs, entry)
            else:
                told.copied += _put(folder.blobs, storage, entry)
        if not dry_run:
            _put_rows(settings, rows, header)
            told.migrations = len(schema.migrate())
    finally:
        database.close_database()
    return told


def _checked_rows(folder: Folder, header: Header) -> Path:
    rows = folder.path / header.rows
    if not rows.is_file() or digest_of(rows) != header.rows_sha256:
        raise Permanent(f"The rows of the backup {header.name} are damaged; take another one.")
    return rows


def _check_target(header: Header, *, replace: bool) -> None:
    if header.database != dialect().name:
        raise Refused(f"The backup is of {header.database}, the database here {dialect().name}.")
    if unknown := sorted(set(header.schema) - set(schema.known())):
        raise Refused(f"The backup was taken by a newer version: {unknown[-1]} is not known here.")
    if unknown := sorted(set(schema.done()) - set(schema.known())):
        raise Refused(f"The database is of a newer version: {unknown[-1]} is not known here.")
    if replace:
        return
    with session():
        for table in sorted(set(database.proxy.obj.get_tables()) - _OWN):
            if execute(f'SELECT 1 FROM "{table}" LIMIT 1'):
                raise Conflict(
                    f"The database is not empty: {table} has rows. --replace puts the backup in"
                    " their place."
                )


def _check(blobs: BlobStore, entry: Entry) -> None:
    with closing(blobs.open(entry.sha256)) as stream:
        if digest_of_stream(stream) != entry.sha256:
            raise _damaged(entry)


def _put(backup: BlobStore, storage: BlobStore, entry: Entry) -> bool:
    """The storage has the file, as it was; True when it had not before."""
    if entry.name.startswith("sha256/"):
        if storage.renew(entry.sha256) and storage.size(entry.sha256) == entry.size_bytes:
            return False
        with closing(backup.open(entry.sha256)) as stream:
            if storage.put(stream).digest != entry.sha256:
                raise _damaged(entry)
        return True
    _check(backup, entry)
    with closing(backup.open(entry.sha256)) as stream, storage.writing(entry.name) as out:
        while piece := stream.read(1024 * 1024):
            out.write(piece)
    return True


def _damaged(entry: Entry) -> Permanent:
    return Permanent(f"The backup's copy of {entry.name} is damaged; take another backup.")


def _put_rows(settings: Settings, rows: Path, header: Header) -> None:
    if not dialect().postgres:
        with session():
            [target] = [row[2] for row in execute("PRAGMA database_list") if row[1] == "main"]
        patience_s = settings.database_timeout_s
        copies.copy_sqlite(rows, Path(target), timeout_s=patience_s, is_copy=True)
        return
    # Tables that the backup does not know would keep those that it replaces.
    schema.roll_back(set(schema.done()) - set(header.schema))
    server = copies.server_of(settings.database)
    pg_programs.restore(settings.database, rows, server=server)
