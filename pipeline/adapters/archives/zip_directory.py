"""The central directory of a ZIP, streamed: found from the end, parsed record by record.

Own parsing instead of ``zipfile``: its constructor reads the whole directory, makes an object of
about 1 KB per entry before anything can be counted, and raises UnicodeDecodeError for the whole
archive when one name is bad. Here one record exists at a time.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.adapters.archives.source import Source
from pipeline.errors import Refused
from pipeline.states import Reason

LOCAL_MAGIC = b"PK\x03\x04"
SPAN_MAGIC = b"PK\x07\x08"
END_MAGIC = b"PK\x05\x06"
END64_MAGIC = b"PK\x06\x06"
_CENTRAL_MAGIC = b"PK\x01\x02"
_SIGNATURE_MAGIC = b"PK\x05\x05"
_LOCATOR_MAGIC = b"PK\x06\x07"

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_BYTES = LOCAL.size
_CENTRAL = struct.Struct("<4s2B5H3L5H2L")
_TAIL_BYTES = 65_535 + _END.size + _LOCATOR.size + _END64.size
_CHUNK_BYTES = 256 * 1024
# Real entries have up to six extra fields; 64 KB hold 16,000, for every entry again.
_MOST_FIELDS = 32
_U16, _U32 = 0xFFFF, 0xFFFFFFFF


class Location(NamedTuple):
    """Where the directory lies; ``shift`` is added to every offset it holds (prefix data)."""

    start: int
    size_bytes: int
    shift: int
    entries: int
    is_zip64: bool


class Record(NamedTuple):
    """One record of the directory; ``start`` is where its local header is (-1: nowhere)."""

    raw_name: bytes
    unicode_name: bytes | None
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    start: int
    disk: int
    mode: int
    extra_is_bad: bool


def locate(source: Source) -> Location | None:
    """Where the central directory is, or None when the file does not end like a ZIP."""
    base = max(0, source.size_bytes - _TAIL_BYTES)
    tail = source.read_at(base, _TAIL_BYTES)
    at = _find_end(tail)
    if at is None:
        return None
    end = base + at
    _, disk, first_disk, here, count, size_bytes, offset, _ = _END.unpack_from(tail, at)
    is_zip64 = False
    if end64 := _zip64_end(source, end):
        end, disk, first_disk, here, count, size_bytes, offset = end64
        is_zip64 = True
    if disk or first_disk or here != count:
        raise several_disks()
    start = end - size_bytes
    if start < 0 or start < offset:
        raise Refused(
            "The ZIP's directory does not lie where its end says: a part is missing or damaged.",
            reason=Reason.CORRUPT,
        )
    return Location(start, size_bytes, start - offset, count, is_zip64)


def several_disks() -> Refused:
    """One sentence for every sign of a split archive."""
    return Refused(
        "The ZIP is split over several files: join them into one archive.",
        reason=Reason.UNSUPPORTED,
    )


def _find_end(tail: bytes) -> int | None:
    """The last end record whose comment reaches exactly to the end; else the last that fits."""
    fitting = None
    at = tail.rfind(END_MAGIC)
    while at >= 0:
        rest = len(tail) - at - _END.size
        if rest >= 0:
            comment_bytes = int.from_bytes(tail[at + 20 : at + 22], "little")
            if comment_bytes == rest:
                return at
            if fitting is None and comment_bytes < rest:
                fitting = at
        at = tail.rfind(END_MAGIC, 0, at + 3)
    return fitting


def _zip64_end(source: Source, end: int) -> tuple[int, int, int, int, int, int, int] | None:
    at = end - _LOCATOR.size
    locator = source.read_at(at, _LOCATOR.size) if at >= 0 else b""
    if not locator.startswith(_LOCATOR_MAGIC):
        return None
    _, disk, offset, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1:
        raise several_disks()
    # Straight before the locator, wherever prefix data moved it; else where the locator says.
    for start in (at - _END64.size, offset):
        record = source.read_at(start, _END64.size) if 0 <= start < at else b""
        if record.startswith(END64_MAGIC) and len(record) == _END64.size:
            fields = _END64.unpack(record)
            return (start, *fields[4:])
    raise Refused("The ZIP64 end record is missing: the archive is damaged.", reason=Reason.CORRUPT)


def records(source: Source, location: Location) -> Iterator[Record]:
    """Every record in its order; raises ``Refused`` where the directory stops making sense."""
    at, end = location.start, location.start + location.size_bytes
    buffer, used = b"", 0
    while at < end:
        if len(buffer) - used < _CENTRAL.size:
            buffer, used = source.read_at(at, min(_CHUNK_BYTES, end - at)), 0
        if buffer.startswith(_SIGNATURE_MAGIC, used):
            return
        if len(buffer) - used < _CENTRAL.size or not buffer.startswith(_CENTRAL_MAGIC, used):
            raise _damaged()
        fields = _CENTRAL.unpack_from(buffer, used)
        length = _CENTRAL.size + fields[11] + fields[12] + fields[13]
        if len(buffer) - used < length:
            buffer, used = source.read_at(at, max(length, min(_CHUNK_BYTES, end - at))), 0
        if at + length > end or len(buffer) - used < length:
            raise _damaged()
        yield _record(fields, buffer, used + _CENTRAL.size, location.shift)
        at += length
        used += length


def _damaged() -> Refused:
    return Refused(
        "The ZIP's directory is damaged: its entries cannot be listed.", reason=Reason.CORRUPT
    )


def _record(fields: tuple[int, ...], buffer: bytes, at: int, shift: int) -> Record:
    flags, method = fields[4], fields[5]
    crc, packed, size = fields[8:11]
    name_end = at + fields[11]
    raw_name = buffer[at:name_end]
    disk, offset = fields[14], fields[17]
    unicode_name, bad = None, False
    if fields[12]:
        extra = buffer[name_end : name_end + fields[12]]
        if _U32 in (packed, size, offset) or disk == _U16:
            wide = _zip64_sizes(extra, size, packed, offset, disk)
            bad = wide is None
            size, packed, offset, disk = wide or (size, packed, offset, 0)
        if not raw_name.isascii():
            unicode_name = _unicode_path(extra, raw_name)
    mode = fields[16] >> 16
    return Record(
        raw_name, unicode_name, flags, method, crc, packed, size, offset + shift, disk, mode, bad
    )


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(_MOST_FIELDS):
        if at + 4 > len(extra):
            return
        kind, length = struct.unpack_from("<2H", extra, at)
        if at + 4 + length > len(extra):
            return
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _zip64_sizes(
    extra: bytes, size: int, packed: int, offset: int, disk: int
) -> tuple[int, int, int, int] | None:
    """The real values of the fields that hold the marker; None when they are not there."""
    data = next((data for kind, data in _fields(extra) if kind == 1), b"")
    values = []
    for value in (size, packed, offset):
        if value == _U32:
            if len(data) < 8:
                return None
            value, data = int.from_bytes(data[:8], "little"), data[8:]
        values.append(value)
    if disk == _U16:
        if len(data) < 4:
            return None
        disk = int.from_bytes(data[:4], "little")
    return values[0], values[1], values[2], disk


def _unicode_path(extra: bytes, raw_name: bytes) -> bytes | None:
    """Info-ZIP's UTF-8 copy of a name in a local code page; stale when its CRC differs."""
    data = next((data for kind, data in _fields(extra) if kind == 0x7075), b"")
    if len(data) <= 5 or data[0] != 1:
        return None
    return data[5:] if int.from_bytes(data[1:5], "little") == zlib.crc32(raw_name) else None
