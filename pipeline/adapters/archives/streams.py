"""Forward-only byte streams under a tar: the file itself, or its gzip content under guard."""

import zlib
from typing import Protocol

from pipeline.adapters.archives import refusals
from pipeline.adapters.archives.model import MIB, READ_BYTES, ArchiveLimits
from pipeline.adapters.archives.source import Source
from pipeline.errors import Refused
from pipeline.states import Reason

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# One tar of small equal files may shrink more than its files would; bombs pass this soon.
_STREAM_RATIO_FLOOR_BYTES = 16 * MIB
_FREE_GZIP_MEMBERS = 1000
_LEAST_MEMBER_BYTES = 512


class Stream(Protocol):
    """What a tar needs of the bytes under it."""

    @property
    def consumed(self) -> int:
        """Bytes of the file used so far, to judge ratios by."""

    def read(self, length: int) -> bytes:
        """``length`` bytes (callers ask for little); fewer only at the end."""

    def skip(self, length: int) -> None:
        """Goes on behind the next ``length`` bytes, or to the end."""


class PlainStream:
    """An uncompressed file: skipping costs nothing."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    @property
    def consumed(self) -> int:
        """The position in the file."""
        return self._at

    def read(self, length: int) -> bytes:
        """The next bytes of the file."""
        data = self._source.read_at(self._at, length)
        self._at += len(data)
        return data

    def skip(self, length: int) -> None:
        """Moves on without reading, even beyond the end: the next read tells."""
        self._at += length


class GzipStream:
    """One or more gzip members; refuses bombs by total bytes and by ratio while inflating."""

    def __init__(self, source: Source, limits: ArchiveLimits) -> None:
        self._source = source
        self._limits = limits
        self._at = 0
        self._members = 0
        self._made = 0
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._pending = b""
        self._ready = b""
        self._given = 0
        self._ended = False
        self._broken: Refused | None = None

    @property
    def consumed(self) -> int:
        """Compressed bytes that the content given out so far needed."""
        return self._at - len(self._pending)

    def read(self, length: int) -> bytes:
        """The next bytes of the content; raises ``Refused`` where the gzip data breaks."""
        pieces, missing = [], length
        while missing and (self._given < len(self._ready) or self._fill()):
            piece = self._ready[self._given : self._given + missing]
            self._given += len(piece)
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def skip(self, length: int) -> None:
        """Inflates and drops; raises as ``read`` does."""
        while length and (self._given < len(self._ready) or self._fill()):
            step = min(length, len(self._ready) - self._given)
            self._given += step
            length -= step

    def _fill(self) -> bool:
        """True when more content is ready; a defect once met is met again by every later call."""
        if self._broken is not None:
            raise Refused(self._broken.message, reason=self._broken.reason)
        try:
            return self._inflate()
        except Refused as error:
            self._broken = error
            raise

    def _inflate(self) -> bool:
        """False at the end of the last gzip member."""
        while not self._ended:
            if self._inflater.eof and not self._next_member():
                break
            if not self._pending and not self._more():
                raise Refused(
                    "The gzip data ends too early: it was not transferred completely.",
                    reason=Reason.TRUNCATED,
                )
            try:
                self._ready = self._inflater.decompress(self._pending, READ_BYTES)
                self._given = 0
            except zlib.error as error:
                raise Refused(
                    f"The gzip data is damaged: {error}.", reason=Reason.CORRUPT
                ) from error
            eof = self._inflater.eof
            self._pending = self._inflater.unused_data if eof else self._inflater.unconsumed_tail
            self._made += len(self._ready)
            self._guard()
            if self._ready:
                return True
        self._ended = True
        return False

    def _more(self) -> bool:
        self._pending = self._source.read_at(self._at, READ_BYTES)
        self._at += len(self._pending)
        return bool(self._pending)

    def _next_member(self) -> bool:
        """Starts the next gzip member; padding and foreign bytes behind the last end the stream."""
        if len(self._pending) < len(GZIP_MAGIC):
            rest = self._source.read_at(self._at, READ_BYTES)
            self._at += len(rest)
            self._pending += rest
        if not self._pending.startswith(GZIP_MAGIC):
            return False
        self._members += 1
        free = _FREE_GZIP_MEMBERS
        if self._members > free and self._made < self._members * _LEAST_MEMBER_BYTES:
            raise Refused(
                "The gzip data is cut into countless empty pieces: compress it again.",
                reason=Reason.CORRUPT,
            )
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        return True

    def _guard(self) -> None:
        limits = self._limits
        if self._made > limits.max_total_bytes:
            raise refusals.too_large(limits)
        if self._made > max(_STREAM_RATIO_FLOOR_BYTES, self.consumed * limits.max_ratio):
            raise Refused(
                f"The archive shrank more than {limits.max_ratio} times, as bombs do: "
                "pack it again as an uncompressed tar.",
                reason=Reason.TOO_LARGE,
            )
