"""ZIP archives: the directory is judged as a whole first, then entries one by one."""

from bisect import bisect_right
from collections.abc import Iterator

from pipeline.adapters.archives import refusals, zip_entry
from pipeline.adapters.archives.model import Archive, ArchiveLimits, Member, Problem
from pipeline.adapters.archives.source import Source
from pipeline.adapters.archives.zip_content import read_content
from pipeline.adapters.archives.zip_directory import (
    LOCAL,
    LOCAL_BYTES,
    LOCAL_MAGIC,
    SPAN_MAGIC,
    Location,
    Record,
    locate,
    records,
    several_disks,
)
from pipeline.adapters.archives.zip_survey import Survey
from pipeline.errors import Refused
from pipeline.states import Reason


class ZipArchive(Archive):
    """A ZIP whose directory makes sense; keeps 8 bytes per entry, names are read again."""

    format = "zip"

    def __init__(self, source: Source, limits: ArchiveLimits) -> None:
        self._source = source
        self._limits = limits
        self._location = _located(source, limits)
        survey = Survey(self._location, limits)
        for record in records(source, self._location):
            survey.add(record)
        survey.finish()
        self.count: int = survey.files
        self._starts = survey.starts
        self._repeated = frozenset(survey.repeated)

    def __iter__(self) -> Iterator[Member]:
        for record in records(self._source, self._location):
            entry = zip_entry.judge(record, self._limits)
            if entry.is_folder:
                continue
            problem = entry.problem
            if not entry.has_unsafe_name and hash(entry.name) in self._repeated:
                problem = _repeated()
            yield ZipMember(self._source, record, entry.name, problem, self._limit_of(record))

    def _limit_of(self, record: Record) -> int:
        """Where the next entry or the directory starts: no content may reach beyond it."""
        at = bisect_right(self._starts, record.start)
        return self._starts[at] if at < len(self._starts) else self._location.start

    def close(self) -> None:
        """Reading is over."""
        self._source.close()


class ZipMember(Member):
    """One file of a ZIP; can be read as long as the archive is open, also more than once."""

    __slots__ = ("_record", "_source", "_start")

    def __init__(
        self, source: Source, record: Record, name: str, problem: Problem | None, limit: int
    ) -> None:
        self._source = source
        self._record = record
        self._start = 0
        if problem is None:
            self._start, problem = _content_start(source, record, limit)
        super().__init__(name, record.size_bytes, problem)

    def read(self) -> bytes:
        """The content, checked by size and CRC."""
        if self.problem is not None:
            raise self.problem.error()
        record = self._record
        return read_content(
            self._source,
            self._start,
            packed_bytes=record.packed_bytes,
            size_bytes=record.size_bytes,
            method=record.method,
            crc=record.crc,
        )


def _located(source: Source, limits: ArchiveLimits) -> Location:
    location = locate(source)
    head = source.read_at(0, 4)
    if location is None:
        if head == SPAN_MAGIC:
            raise several_disks()
        raise Refused(
            "The ZIP has no end: it was not transferred completely.", reason=Reason.TRUNCATED
        )
    if location.shift and head == LOCAL_MAGIC:
        # The directory found belongs to a ZIP stored inside this one.
        raise Refused(
            "The ZIP's own directory is missing: it was not transferred completely.",
            reason=Reason.TRUNCATED,
        )
    if location.is_zip64 and location.entries > limits.max_entries:
        raise refusals.too_many(limits)
    return location


def _repeated() -> Problem:
    return Problem(
        Reason.DUPLICATE_ENTRY,
        "The archive holds several entries of this name, so none can be trusted: keep one.",
    )


def _content_start(source: Source, record: Record, limit: int) -> tuple[int, Problem | None]:
    """Where the content starts, after the local header said the same as the directory."""
    length = LOCAL_BYTES + len(record.raw_name)
    local = source.read_at(record.start, length) if record.start >= 0 else b""
    if len(local) < length or not local.startswith(LOCAL_MAGIC) or record.start >= limit:
        return 0, _disagrees("is not where the directory says")
    fields = LOCAL.unpack_from(local)
    if fields[9] != len(record.raw_name) or local[LOCAL_BYTES:] != record.raw_name:
        return 0, _disagrees("has another name in its own header than in the directory")
    if fields[3] != record.method or (fields[2] ^ record.flags) & 1:
        return 0, _disagrees("has another method in its own header than in the directory")
    start = record.start + length + fields[10]
    if start + record.packed_bytes > limit:
        return 0, Problem(
            Reason.OVERLAPPING_ENTRIES,
            "The entry reaches into the next one or into the directory: pack the archive again.",
        )
    return start, None


def _disagrees(what: str) -> Problem:
    return Problem(Reason.CORRUPT, f"The entry {what}: the archive is damaged, pack it again.")
