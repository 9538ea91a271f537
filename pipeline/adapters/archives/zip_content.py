"""The content of one ZIP entry, inflated under a byte counter and checked by size and CRC."""

import io
import zlib
from collections.abc import Iterator

from pipeline.adapters.archives.model import READ_BYTES
from pipeline.adapters.archives.source import Source
from pipeline.errors import Permanent
from pipeline.states import Reason

STORED, DEFLATED = 0, 8


def read_content(
    source: Source, start: int, *, packed_bytes: int, size_bytes: int, method: int, crc: int
) -> bytes:
    """Exactly ``size_bytes`` bytes whose CRC is right; memory never exceeds that by much."""
    packed = _packed(source, start, packed_bytes)
    pieces = packed if method == STORED else _inflated(packed, size_bytes)
    content, total, found_crc = io.BytesIO(), 0, 0
    for piece in pieces:
        total += len(piece)
        if total > size_bytes:
            raise _corrupt(f"The entry holds more than the {size_bytes} bytes it declares.")
        found_crc = zlib.crc32(piece, found_crc)
        content.write(piece)
    if total < size_bytes:
        raise _corrupt(f"The entry holds {total} bytes and declares {size_bytes}.")
    if found_crc != crc:
        raise _corrupt("The entry's checksum is wrong: its content was damaged.")
    return content.getvalue()


def _packed(source: Source, start: int, packed_bytes: int) -> Iterator[bytes]:
    while packed_bytes > 0:
        piece = source.read_at(start, min(READ_BYTES, packed_bytes))
        if not piece:
            raise _corrupt("The archive ends inside this entry.")
        yield piece
        start += len(piece)
        packed_bytes -= len(piece)


def _inflated(packed: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
    inflater, made = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for pending in packed:
        if inflater.eof:
            raise _corrupt("The entry has more compressed data than its content needs.")
        while True:
            # One byte more than declared is enough to know that the declaration is a lie.
            room = min(READ_BYTES, size_bytes - made + 1)
            try:
                piece = inflater.decompress(pending, room)
            except zlib.error as error:
                raise _corrupt(f"The entry cannot be inflated: {error}.") from error
            made += len(piece)
            yield piece
            pending = inflater.unconsumed_tail
            if inflater.eof or (not pending and len(piece) < room):
                break
    if inflater.unused_data:
        raise _corrupt("The entry has more compressed data than its content needs.")
    if not inflater.eof:
        raise _corrupt("The entry's compressed data ends too early.")


def _corrupt(message: str) -> Permanent:
    return Permanent(message, reason=Reason.CORRUPT)
