"""Blobs by content on any fsspec file system: a shared folder by default, S3 by URL.

A blob appears whole or not at all: it is spooled and hashed first, then given its name (local) or
put in one request (object stores). Writing the same content twice is one blob.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import NotFound, Refused, StorageUnavailable
from pipeline.states import Reason
from pipeline.store import spool

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored content: ``digest`` is the SHA-256 of its bytes, in hex."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the storage; ``written_at`` in seconds since 1970."""

    name: str
    size_bytes: int
    written_at: float


def blob_name(digest: str) -> str:
    """Return the name under which a blob is stored."""
    return f"sha256/{digest[:2]}/{digest[2:]}"


class BlobStore:
    """The blobs and named files (reports) of one deployment."""

    def __init__(self, url: str) -> None:
        import fsspec  # loaded at first use: producers that only look at rows never need it

        self.url = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in _protocols(self._fs)

    def put(self, content: bytes | BinaryIO, *, limit_bytes: int | None = None) -> Blob:
        """Store a content and return its blob; a stream is read to its end in 1 MiB pieces.

        Raises ``Refused`` (too_large) past ``limit_bytes``; nothing is left behind then.
        """
        with _storage_errors(), spool.spooled(self._spool_folder()) as file:
            digest, size = hashlib.sha256(), 0
            for piece in _pieces(content):
                size += len(piece)
                if limit_bytes is not None and size > limit_bytes:
                    raise Refused(
                        f"The source is larger than the limit of {limit_bytes} bytes"
                        " (QUAYLINE_MAX_SOURCE_BYTES).",
                        reason=Reason.TOO_LARGE,
                    )
                digest.update(piece)
                file.write(piece)
            blob = Blob(digest.hexdigest(), size)
            self._keep(file, blob.digest)
            return blob

    def open(self, digest: str) -> BinaryIO:
        """Return the blob as a seekable binary stream; the caller closes it."""
        with _storage_errors(digest):
            stream: BinaryIO = self._fs.open(self._path(digest), "rb")
            return stream

    def read(self, digest: str) -> bytes:
        """Return the whole blob."""
        with _storage_errors(digest):
            content: bytes = self._fs.cat_file(self._path(digest))
            return content

    def read_parts(self, digest: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of the blob, each an offset and a length; shorter at its end."""
        with _storage_errors(digest):
            path = self._path(digest)
            if self._local:
                # Each linted file is read so: by fsspec it takes two and a half times as long.
                with open(path, "rb", buffering=0) as stream:
                    size = os.fstat(stream.fileno()).st_size
                    return [
                        os.pread(stream.fileno(), max(0, min(length, size - at)), at)
                        for at, length in parts
                    ]
            # An object store is asked for all of them at once.
            found: list[bytes | Exception] = self._fs.cat_ranges(
                [path] * len(parts),
                [at for at, _ in parts],
                [at + length for at, length in parts],
                on_error="return",
            )
            return [_content(each) for each in found]

    def exists(self, digest: str) -> bool:
        """Tell whether the blob is stored."""
        with _storage_errors():
            return bool(self._fs.exists(self._path(digest)))

    def size(self, digest: str) -> int | None:
        """Return the size of the blob in bytes; None when it is not stored."""
        with _storage_errors(), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            return int(self._fs.info(self._path(digest))["size"])
        return None

    def renew(self, digest: str) -> bool:
        """Make the blob young, so that no cleanup takes it from who is about to refer to it; False
        when it is not there."""
        with _storage_errors():
            if self._local:
                return spool.renew(Path(self._path(digest)))
        # An object store knows no other way to it than to put it again.
        with suppress(NotFound), closing(self.open(digest)) as stream:
            self.put(stream)
            return True
        return False

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Yield a stream; afterwards its content stands under ``name``, whole or not at all."""
        with _storage_errors(name), spool.spooled(self._spool_folder()) as file:
            yield file
            path = f"{self._root}/{name}"
            if self._local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                spool.publish(file, Path(path))
            else:
                self._fs.put_file(spool.readable(file), path)

    def open_named(self, name: str) -> BinaryIO:
        """Return the named file as a binary stream; ``NotFound`` when there is none."""
        with _storage_errors(name):
            stream: BinaryIO = self._fs.open(f"{self._root}/{name}", "rb")
            return stream

    def has_named(self, name: str) -> bool:
        """Tell whether a file of that name is stored."""
        with _storage_errors():
            return bool(self._fs.exists(f"{self._root}/{name}"))

    def listing(self, folder: str = "") -> Iterator["StoredFile"]:
        """Yield every stored file, or those below the folder, spooled ones included; names are
        relative to the storage."""
        with _storage_errors():
            if self._local:
                yield from _files(Path(self._root), folder)
                return
            place = f"{self._root}/{folder}".rstrip("/")
            if not self._fs.exists(place):
                return
            for path, told in self._fs.find(place, detail=True).items():
                name = path.removeprefix(self._root).lstrip("/")
                yield StoredFile(name, int(told["size"]), _written_at(told))

    def remove_old(self, name: str, *, before: float) -> bool:
        """Remove a stored file that was written before then and that nobody is writing; tell
        whether it was.

        A blob that somebody puts again meanwhile stays. On an object store that is looked at just
        before, so that the time of two requests is left in which it may go.
        """
        path = f"{self._root}/{name}"
        with _storage_errors(), suppress(FileNotFoundError):
            if self._local:
                return spool.remove_free(Path(path), before=before)
            self._fs.invalidate_cache()
            if _written_at(self._fs.info(path)) < before:
                self._fs.rm_file(path)
                return True
        return False

    def check(self) -> None:
        """Write, read and remove a small file; raises ``StorageUnavailable`` when that fails."""
        name = f"check-{os.getpid()}"
        with self.writing(name) as stream:
            stream.write(b"ok")
        with _storage_errors():
            self._fs.rm_file(f"{self._root}/{name}")

    def _path(self, digest: str) -> str:
        return f"{self._root}/{blob_name(digest)}"

    def _keep(self, file: BinaryIO, digest: str) -> None:
        """Let the file be the blob; one that is there already is made young, so that no cleanup
        takes it from us."""
        if not self._local:
            self._fs.put_file(spool.readable(file), self._path(digest))
            return
        path = Path(self._path(digest))
        while not spool.renew(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if spool.add(file, path):
                return

    def _spool_folder(self) -> Path | None:
        """Return the folder of files that are being written; None: the system's temporary one."""
        if not self._local:
            return None
        folder = Path(self._root, "spool")
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _files(root: Path, folder: str = "") -> Iterator[StoredFile]:
    """Yield the files below the root; no more than one folder's names are held."""
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _files(root, name)
            continue
        with suppress(FileNotFoundError):
            told = entry.stat()
            yield StoredFile(name, told.st_size, told.st_mtime)


def _written_at(told: dict[str, Any]) -> float:
    moment: Any = told.get("mtime") or told.get("LastModified") or told.get("created") or 0.0
    return float(moment.timestamp() if hasattr(moment, "timestamp") else moment)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _pieces(content: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    while piece := _next_piece(content):
        yield piece


def _next_piece(content: BinaryIO) -> bytes:
    try:
        return content.read(CHUNK)
    except OSError as error:
        raise Refused(
            f"The source could not be read to its end: {error}.", reason=Reason.TRUNCATED
        ) from error


def _content(found: bytes | Exception) -> bytes:
    if isinstance(found, Exception):
        raise found
    return found


@contextmanager
def _storage_errors(name: str = "") -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"The storage has no {name or error.filename}.") from error
    except OSError as error:
        why = (error.strerror or str(error)).rstrip(".")
        raise StorageUnavailable(f"The blob storage does not work: {why}.") from error
