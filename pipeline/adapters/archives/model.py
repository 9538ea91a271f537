"""What a reader of archives sees: limits, problems, members and the archive itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pipeline.errors import Permanent
from pipeline.states import Reason

MIB = 1024 * 1024
GIB = 1024 * MIB
READ_BYTES = 64 * 1024
# A small file may shrink a thousandfold without harm, so ratios are judged above this size only.
RATIO_FLOOR_BYTES = MIB

# An entry may declare more than any number of a database holds; then it has a problem anyway.
_MOST_BYTES = 2**63 - 1

_ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tgz", ".gz", ".7z", ".rar"),
    *(".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".jar", ".war"),
)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much one archive may ask for; sizes are uncompressed bytes."""

    max_entries: int = 200_000
    max_entry_bytes: int = 32 * MIB
    max_total_bytes: int = 8 * GIB
    max_ratio: int = 200
    max_name_bytes: int = 1024
    max_depth: int = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one entry cannot be used; ``message`` is a sentence its owner can act on."""

    reason: Reason
    message: str

    def error(self) -> Permanent:
        """The same as an error that concerns this entry only."""
        return Permanent(self.message, reason=self.reason)


class Member(ABC):
    """One file of an archive.

    ``name`` can always be shown and stored (valid Unicode, no control characters): the name of an
    entry whose own name is unsafe is escaped and shortened, so several members may share a name.
    """

    __slots__ = ("name", "problem", "size_bytes")

    def __init__(self, name: str, size_bytes: int, problem: Problem | None) -> None:
        self.name = name
        self.size_bytes = min(size_bytes, _MOST_BYTES)
        self.problem = problem

    @property
    def nested_archive(self) -> bool:
        """True when the name says that this is an archive again; it is never expanded."""
        return self.name.lower().endswith(_ARCHIVE_SUFFIXES)

    @abstractmethod
    def read(self) -> bytes:
        """The whole content, never more than declared; raises ``Permanent`` for this entry only."""


class Archive(ABC):
    """The files of an archive in their order; the caller keeps and closes the file under it.

    Iterating may raise ``Refused`` where a defect of the whole shows up late (tar is a stream).
    """

    format: str
    count: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Member]:
        """Every file once; may be started again, which ends an earlier pass over a tar."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Members can no longer be read."""
