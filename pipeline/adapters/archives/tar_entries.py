"""One pass over the entries of a tar: headers, their extensions, and content while it passes by."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.adapters.archives import names, refusals, tar_header
from pipeline.adapters.archives.model import (
    MIB,
    RATIO_FLOOR_BYTES,
    READ_BYTES,
    ArchiveLimits,
    Problem,
)
from pipeline.adapters.archives.streams import Stream
from pipeline.adapters.archives.tar_header import BLOCK_BYTES, Header
from pipeline.errors import Permanent, Refused
from pipeline.states import Reason

# Real extended headers hold a path and a few attributes; a chain of them is at most L, K, x, g.
_LONG_NAME_BYTES = 64 * 1024
_PAX_BYTES = MIB
_MOST_EXTENSIONS = 8
_REST_BYTES = MIB

_REGULAR = (b"0", b"\0", b"7")
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
_SPECIAL = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
}


class Entry(NamedTuple):
    """One file that passes by; ``number`` says whether it still is the current one."""

    number: int
    name: str
    size_bytes: int
    problem: Problem | None


@dataclass(slots=True)
class _Extension:
    """What extended headers said about the entry that follows them."""

    blocks: int = 0
    raw_name: bytes | None = None
    size_bytes: int | None = None
    sparse: bool = False
    problem: Problem | None = None


class TarPass:
    """Walks once from the first header to the end mark."""

    def __init__(self, stream: Stream, limits: ArchiveLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._number = 0
        self._left = 0
        self._padding = 0
        self._total_bytes = 0
        self._seen: set[int] = set()

    def entries(self) -> Iterator[Entry]:
        """Every file (and what pretends to be one); raises ``Refused`` where the tar breaks."""
        extension = _Extension()
        while (header := self._header()) is not None:
            if self._extend(extension, header):
                continue
            self._number += 1
            if self._number > self._limits.max_entries:
                raise refusals.too_many(self._limits)
            header = _extended(header, extension)
            self._begin(header)
            if not header.is_folder and header.kind != b"V":
                yield self._entry(header, extension)
            self._stream.skip(self._left + self._padding)
            extension = _Extension()
        # Behind the end mark stands the checksum of gzip: reading on proves what was read.
        self._stream.skip(_REST_BYTES)

    def read(self, entry: Entry) -> bytes:
        """The content of the current entry, once."""
        if entry.number != self._number or self._left != entry.size_bytes:
            raise Permanent("A tar is a stream: this entry has passed, start it again to read it.")
        content, consumed = io.BytesIO(), self._stream.consumed
        while self._left:
            piece = self._piece()
            self._left -= len(piece)
            content.write(piece)
            done = content.tell()
            spent = self._stream.consumed - consumed
            if done > RATIO_FLOOR_BYTES and done > spent * self._limits.max_ratio:
                raise refusals.entry_shrank(self._limits).error()
        return content.getvalue()

    def _piece(self) -> bytes:
        try:
            piece = self._stream.read(min(READ_BYTES, self._left))
        except Refused as error:
            # The next step of the walk meets the same defect and refuses the whole.
            raise Permanent(error.message, reason=error.reason) from error
        if not piece:
            raise Permanent("The archive ends inside this entry.", reason=Reason.TRUNCATED)
        return piece

    def _header(self) -> Header | None:
        block = self._stream.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise Refused(
                "The tar has no end mark: it was not transferred completely.",
                reason=Reason.TRUNCATED,
            )
        if block == tar_header.ZERO_BLOCK:
            return None
        try:
            return tar_header.parse(block)
        except tar_header.HeaderError as error:
            raise Refused(
                f"The tar is damaged behind its entry {self._number}: {error}.",
                reason=Reason.CORRUPT,
            ) from error

    def _begin(self, header: Header) -> None:
        self._left = 0 if header.kind in _WITHOUT_CONTENT else header.size_bytes
        self._padding = -self._left % BLOCK_BYTES
        more = header.kind == b"S" and header.extends
        while more:
            block = self._stream.read(BLOCK_BYTES)
            more = len(block) == BLOCK_BYTES and block[504] == 1

    def _extend(self, extension: _Extension, header: Header) -> bool:
        """True when the header only extends the next one; takes what matters from it."""
        if header.kind not in (b"L", b"K", b"x", b"X", b"g"):
            return False
        extension.blocks += 1
        if extension.blocks > _MOST_EXTENSIONS:
            raise Refused(
                "The tar has a chain of extended headers without a file: it is damaged.",
                reason=Reason.CORRUPT,
            )
        size = header.size_bytes
        kept = 0
        if header.kind == b"L":
            kept = min(size, _LONG_NAME_BYTES)
            extension.raw_name = self._stream.read(kept).partition(b"\0")[0]
        elif header.kind in (b"x", b"X"):
            kept = size if size <= _PAX_BYTES else 0
            _take_records(extension, self._stream.read(kept), complete=kept == size)
        self._stream.skip(size - kept + -size % BLOCK_BYTES)
        return True

    def _entry(self, header: Header, extension: _Extension) -> Entry:
        name, problem = names.read(header.raw_name, ("utf-8", "gbk"), self._limits)
        if problem is None:
            problem = self._flaw(name, header, extension)
        if problem is None:
            self._total_bytes += self._left
            if self._total_bytes > self._limits.max_total_bytes:
                raise refusals.too_large(self._limits)
        return Entry(self._number, name, self._left, problem)

    def _flaw(self, name: str, header: Header, extension: _Extension) -> Problem | None:
        # Names as numbers: 200,000 of them may be 1 KB long each.
        key = hash(name)
        repeated = key in self._seen
        self._seen.add(key)
        if header.kind in _SPECIAL:
            return Problem(
                Reason.UNSAFE_ENTRY,
                f"The entry is {_SPECIAL[header.kind]}, not a file: pack the file.",
            )
        if repeated:
            return Problem(
                Reason.DUPLICATE_ENTRY,
                "An entry of this name came before in the archive: keep only one.",
            )
        if extension.sparse or header.kind == b"S":
            return Problem(
                Reason.UNSUPPORTED, "The entry is a sparse file: pack it without '--sparse'."
            )
        if header.kind not in _REGULAR:
            return Problem(Reason.UNSUPPORTED, "The entry is of a type that only some tars know.")
        if extension.problem is None and self._left > self._limits.max_entry_bytes:
            return refusals.entry_too_large(self._left, self._limits)
        return extension.problem


def _extended(header: Header, extension: _Extension) -> Header:
    return header._replace(
        raw_name=header.raw_name if extension.raw_name is None else extension.raw_name,
        size_bytes=header.size_bytes if extension.size_bytes is None else extension.size_bytes,
    )


def _take_records(extension: _Extension, data: bytes, *, complete: bool) -> None:
    if not complete:
        extension.problem = Problem(
            Reason.TOO_LARGE,
            f"The entry's extended header has more than {_PAX_BYTES} bytes: pack it again "
            "without extended attributes.",
        )
        return
    try:
        for key, value in tar_header.pax_records(data):
            if key == b"path":
                extension.raw_name = value
            elif key == b"size" and value.isdigit() and len(value) < 20:
                extension.size_bytes = int(value)
            elif key.startswith(b"GNU.sparse."):
                extension.sparse = True
                if key == b"GNU.sparse.name":
                    extension.raw_name = value
    except tar_header.HeaderError as error:
        extension.problem = Problem(Reason.CORRUPT, f"The entry cannot be used: {error}.")
