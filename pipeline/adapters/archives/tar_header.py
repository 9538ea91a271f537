"""The 512-byte header of a tar entry and its PAX records, parsed in linear time.

Own parsing instead of ``tarfile``: that reads extended headers of any size into memory, recurses
over chains of them, keeps every entry, and follows negative sizes backwards on older Pythons.
"""

from collections.abc import Iterator
from typing import NamedTuple

BLOCK_BYTES = 512
# Real files have a few attributes; a megabyte of empty ones takes a fifth of a second.
_MOST_RECORDS = 1000
ZERO_BLOCK = bytes(BLOCK_BYTES)


class HeaderError(ValueError):
    """Raised when a block is no tar header, or records are no PAX records."""


class Header(NamedTuple):
    """One header block; ``kind`` is its type flag."""

    raw_name: bytes
    size_bytes: int
    kind: bytes
    extends: bool

    @property
    def is_folder(self) -> bool:
        """True for directories; old tars write them as files whose name ends with a slash."""
        return self.kind in (b"5", b"D") or (
            self.kind in (b"0", b"\0") and self.raw_name.endswith(b"/")
        )


def parse(block: bytes) -> Header:
    """The header in a full block; raises ``HeaderError`` unless its checksum is right."""
    told = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    surplus = sum(rest) - told
    # Some old tars summed signed characters.
    if surplus and surplus != 256 * sum(byte > 127 for byte in rest):
        raise HeaderError("its checksum is wrong")
    kind = block[156:157]
    raw_name = _text(block[:100])
    if block[257:263] == b"ustar\0" and kind not in (b"L", b"K", b"S"):
        prefix = _text(block[345:500])
        if prefix:
            raw_name = prefix + b"/" + raw_name
    return Header(raw_name, _number(block[124:136]), kind, block[482] == 1)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256; never negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise HeaderError("a number is not octal")
    return int(digits or b"0", 8)


def pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every ``length key=value`` record."""
    at, left = 0, _MOST_RECORDS
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        if not digits.isdigit():
            raise HeaderError("its extended header is damaged")
        end = at + int(digits)
        record = data[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end <= space or end > len(data) or not equals or not value.endswith(b"\n"):
            raise HeaderError("its extended header is damaged")
        yield key, value[:-1]
        at, left = end, left - 1
        if not left:
            raise HeaderError(f"its extended header has {_MOST_RECORDS} records")
