"""Bundles: files of the submitter as one uncompressed tar, the same bytes for the same files."""

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from pipeline.adapters.archives import names
from pipeline.adapters.archives.model import READ_BYTES, ArchiveLimits
from pipeline.adapters.archives.tar_header import BLOCK_BYTES
from pipeline.errors import Refused, StorageUnavailable
from pipeline.states import Reason


def write_bundle(
    out: BinaryIO,
    files: Iterable[tuple[str, Path | bytes]],
    limits: ArchiveLimits | None = None,
) -> None:
    """``out`` holds a PAX tar of the files in the given order, without times or owners.

    Raises ``Refused`` for a name that ``open_archive`` would not take, and for a file that cannot
    be read, vanishes or changes while it is read; what was written until then is to be dropped.
    """
    limits = limits or ArchiveLimits()
    seen: set[str] = set()
    for given, content in files:
        name = _checked(given, limits)
        if name in seen:
            raise Refused(
                f"Two files are called {name}: give them once.", reason=Reason.DUPLICATE_ENTRY
            )
        seen.add(name)
        if isinstance(content, bytes):
            _write(out, _header(name, len(content)))
            _write(out, content)
            _write(out, bytes(-len(content) % BLOCK_BYTES))
        else:
            _copy(out, name, content)
    _write(out, bytes(2 * BLOCK_BYTES))


def _checked(given: str, limits: ArchiveLimits) -> str:
    # Names from a Linux folder carry bytes that are not UTF-8 as surrogates.
    try:
        encoded = given.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = b"\xff"
    name, problem = names.read(encoded, ("utf-8", "gbk"), limits)
    if problem is not None:
        raise Refused(f"{name}: {problem.message}", reason=problem.reason)
    return name


def _header(name: str, size_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _copy(out: BinaryIO, name: str, path: Path) -> None:
    with _opened(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        _write(out, _header(name, size_bytes))
        left = size_bytes
        # Reads one byte beyond the size, to see a file grow.
        while data := _read(file, path, min(READ_BYTES, left + 1)):
            left -= len(data)
            if left < 0:
                break
            _write(out, data)
        if left:
            raise Refused(
                f"{path} changed while it was read: try again when nobody writes to it.",
                reason=Reason.UNREADABLE,
            )
        _write(out, bytes(-size_bytes % BLOCK_BYTES))


@contextmanager
def _opened(path: Path) -> Iterator[RawIOBase]:
    """A regular file; a pipe is refused instead of waited for."""
    try:
        file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Refused(f"{path} is not a file.", reason=Reason.UNREADABLE)
        yield file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _read(file: RawIOBase, path: Path, length: int) -> bytes:
    try:
        return file.read(length) or b""
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> Refused:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Refused(f"{path} cannot be read: {why}.", reason=Reason.UNREADABLE)


def _write(out: BinaryIO, data: bytes) -> None:
    try:
        out.write(data)
    except OSError as error:
        raise StorageUnavailable(f"The bundle cannot be written: {error}.") from error
