"""Tar and tar.gz archives: one pass forward, one entry at a time, nothing kept but name hashes."""

from collections.abc import Callable, Iterator
from functools import partial

from pipeline.adapters.archives import tar_header
from pipeline.adapters.archives.model import MIB, Archive, ArchiveLimits, Member
from pipeline.adapters.archives.source import Source
from pipeline.adapters.archives.streams import GzipStream, PlainStream, Stream
from pipeline.adapters.archives.tar_entries import Entry, TarPass
from pipeline.errors import Permanent, Refused
from pipeline.states import Reason


class TarArchive(Archive):
    """A tar, plain or in gzip; a defect further on is raised as ``Refused`` while iterating."""

    def __init__(self, source: Source, limits: ArchiveLimits, *, gzipped: bool) -> None:
        self.format = "tar.gz" if gzipped else "tar"
        self._source = source
        self._limits = limits
        self._gzipped = gzipped
        self._pass = self._new_pass()
        _check_start(self._stream())

    def _stream(self) -> Stream:
        if self._gzipped:
            return GzipStream(self._source, self._limits)
        return PlainStream(self._source)

    def _new_pass(self) -> TarPass:
        return TarPass(self._stream(), self._limits)

    def __iter__(self) -> Iterator[Member]:
        current = self._pass = self._new_pass()
        for entry in current.entries():
            yield TarMember(entry, partial(self._read, current, entry))
            self._expect(current)

    def _read(self, current: TarPass, entry: Entry) -> bytes:
        self._expect(current)
        return current.read(entry)

    def _expect(self, current: TarPass) -> None:
        if self._pass is not current:
            raise Permanent("A tar is a stream: a newer pass over it has ended this one.")

    def close(self) -> None:
        """Reading is over."""
        self._source.close()


class TarMember(Member):
    """One file of a tar; can be read once, until the next one is asked for."""

    __slots__ = ("_read",)

    def __init__(self, entry: Entry, read: Callable[[], bytes]) -> None:
        super().__init__(entry.name, entry.size_bytes, entry.problem)
        self._read = read

    def read(self) -> bytes:
        """The content; raises ``Permanent`` as well when the entry has passed by."""
        if self.problem is not None:
            raise self.problem.error()
        return self._read()


def is_tar_start(block: bytes) -> bool:
    """True when the block is a tar header, or the zeros that an empty tar consists of."""
    if len(block) < tar_header.BLOCK_BYTES:
        return False
    if block == tar_header.ZERO_BLOCK:
        return True
    try:
        tar_header.parse(block)
    except tar_header.HeaderError:
        return False
    return True


def _check_start(stream: Stream) -> None:
    """Refuses what is no tar; zeros alone are an empty one, as ``tar c -T /dev/null`` writes."""
    block = stream.read(tar_header.BLOCK_BYTES)
    if is_tar_start(block) and block != tar_header.ZERO_BLOCK:
        return
    read_bytes = len(block)
    while block and read_bytes < MIB and not block.strip(b"\0"):
        block = stream.read(tar_header.BLOCK_BYTES)
        read_bytes += len(block)
    if block or read_bytes < 2 * tar_header.BLOCK_BYTES:
        raise Refused(
            "The file holds no ZIP and no tar: send a ZIP, a tar or a tar.gz.",
            reason=Reason.NOT_AN_ARCHIVE,
        )
