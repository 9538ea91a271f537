"""The folder that backups lie in: a manifest and a file of rows for each, blobs that they share.

A backup is there once its manifest is, which is written last. ``backup-TIME.jsonl`` has the header
in its first line and a file in each other one: its name in the storage, size and SHA-256.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline import jsontext
from pipeline.errors import Conflict, NotFound, Permanent, Refused, StorageUnavailable
from pipeline.store.blobs import BlobStore, blob_name

log = logging.getLogger(__name__)

#: Raised when an older version could not read what this one writes.
FORM = 1

_MANIFEST = re.compile(r"backup-([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)\.jsonl")


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup is of; ``rows``: the name of their file, beside the manifest."""

    form: int
    name: str
    database: str  # "postgresql" or "sqlite"
    schema: list[str]
    rows: str
    rows_bytes: int
    rows_sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file of a backup; ``written_at`` in seconds since 1970."""

    name: str
    size_bytes: int
    sha256: str
    written_at: float


class Folder:
    """A folder of backups on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = BlobStore(str(path / "blobs"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes to it while the block runs; ``Conflict`` when somebody does."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StorageUnavailable(f"{self.path} cannot be written: {why}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise Conflict(f"Another backup is being written to {self.path}.") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """Return the backups, the oldest first; their names are the times when they were made."""
        if not self.path.is_dir():
            return []
        found = (_MANIFEST.fullmatch(path.name) for path in self.path.iterdir())
        return sorted(each[1] for each in found if each)

    def find(self, name: str | None) -> "Header":
        """Return the header of that backup, or of the newest; ``NotFound`` when there is none."""
        known = self.names()
        if not known:
            raise NotFound(f"There is no backup in {self.path}.")
        if name is not None and name not in known:
            raise NotFound(
                f"There is no backup {name!r} in {self.path}; {known[-1]} is the newest."
            )
        return self.header(name or known[-1])

    def header(self, name: str) -> Header:
        """Return the header of that backup; ``Permanent`` when nobody can read it."""
        with self.manifest(name).open(encoding="utf-8") as lines:
            told = _object(next(lines, ""), name)
        if told.get("form") != FORM:
            raise Refused(f"The backup {name} was written by another version of Quayline.")
        try:
            return Header(**told)
        except TypeError as error:
            raise _unreadable(name) from error

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield the files of that backup."""
        with self.manifest(name).open(encoding="utf-8") as lines:
            next(lines, "")
            for line in lines:
                try:
                    yield Entry(**_object(line, name))
                except TypeError as error:
                    raise _unreadable(name) from error

    def publish(self, header: Header, lines: Path) -> None:
        """The backup is there: its header and the lines of the file stand in its manifest."""
        whole = self.path / f".{header.name}.manifest"
        with whole.open("wb") as out, lines.open("rb") as rest:
            out.write(jsontext.encoded(asdict(header)) + b"\n")
            while piece := rest.read(1024 * 1024):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        lines.unlink()
        whole.replace(self.manifest(header.name))
        self._flush()

    def prune(self, keep: int) -> int:
        """Only the newest backups are there, and what they need; return how many went.

        While one of them cannot be read, nobody knows what it needs, and all files stay.
        """
        old = self.names()[:-keep]
        for name in old:
            self.manifest(name).unlink(missing_ok=True)
        try:
            kept = [self.header(name) for name in self.names()]
            needed = {blob_name(each.sha256) for told in kept for each in self.entries(told.name)}
        except (Permanent, Refused) as error:
            log.warning("Old files of backups stay", extra={"error": error.message})
            return len(old)
        wanted = {self.manifest(header.name).name for header in kept}
        wanted |= {header.rows for header in kept} | {".lock", "blobs"}
        for path in self.path.iterdir():
            # What a backup that was killed has left, too; a stranger's file stays.
            if path.name not in wanted and path.name.startswith((".2", "rows-2")):
                path.unlink(missing_ok=True)
        for file in self.blobs.listing():
            if file.name not in needed:
                self.blobs.remove_old(file.name, before=float("inf"))
        return len(old)

    def manifest(self, name: str) -> Path:
        """Return the path of that backup's manifest."""
        return self.path / f"backup-{name}.jsonl"

    def _flush(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return digest_of_stream(file)


def digest_of_stream(stream: BinaryIO) -> str:
    """Return the SHA-256 of what is left of a stream, in hex."""
    told = hashlib.sha256()
    while piece := stream.read(1024 * 1024):
        told.update(piece)
    return told.hexdigest()


def _object(line: str, name: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise _unreadable(name) from error
    if not isinstance(told, dict):
        raise _unreadable(name)
    return told


def _unreadable(name: str) -> Permanent:
    return Permanent(f"The manifest of the backup {name} is damaged; take another one.")
