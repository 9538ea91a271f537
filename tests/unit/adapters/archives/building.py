"""Archives byte by byte, healthy by default, wrong wherever a field is given another value."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

UTF8 = 0x800
DESCRIPTOR = 0x8
ENCRYPTED = 0x1
STORED, DEFLATED = 0, 8
_U16, _U32 = 0xFFFF, 0xFFFFFFFF

#: ``tarfile``'s USTAR_FORMAT, GNU_FORMAT and PAX_FORMAT.
TarFormat: TypeAlias = Literal[0, 1, 2]


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass
class Zipped:
    """One entry; the ``local_*`` fields differ from the directory only where given."""

    name: bytes | str
    data: bytes = b"select 1\n"
    method: int = DEFLATED
    flags: int = 0
    mode: int = 0
    system: int = 3
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    disk: int = 0
    extra: bytes = b""
    local_name: bytes | None = None
    local_extra: bytes = b""
    local_method: int | None = None
    local_flags: int | None = None
    comment: bytes = b""
    zip64: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.name, str):
            self.name = self.name.encode()
            if not self.name.isascii():
                self.flags |= UTF8
        if self.packed is None:
            self.packed = self.data if self.method == STORED else deflated(self.data)
        self.crc = zlib.crc32(self.data) if self.crc is None else self.crc
        self.size = len(self.data) if self.size is None else self.size
        self.packed_size = len(self.packed) if self.packed_size is None else self.packed_size

    def local(self) -> bytes:
        assert isinstance(self.name, bytes)
        assert self.packed is not None
        assert self.packed_size is not None
        assert self.size is not None
        name = self.name if self.local_name is None else self.local_name
        flags = self.flags if self.local_flags is None else self.local_flags
        method = self.method if self.local_method is None else self.local_method
        told = (0, 0, 0) if flags & DESCRIPTOR else (self.crc, self.packed_size, self.size)
        head = struct.pack(
            *("<4s5H3L2H", b"PK\x03\x04", 20, flags, method, 0, 33),
            *(told[0], told[1] & _U32, told[2] & _U32, len(name), len(self.local_extra)),
        )
        tail = b""
        if flags & DESCRIPTOR:
            tail = struct.pack("<4s3L", b"PK\x07\x08", self.crc, self.packed_size, self.size)
        return head + name + self.local_extra + self.packed + tail

    def central(self, offset: int) -> bytes:
        assert isinstance(self.name, bytes)
        offset = offset if self.offset is None else self.offset
        sizes, extra = (self.packed_size, self.size, offset), self.extra
        if self.zip64:
            extra += struct.pack("<2H3Q", 1, 24, self.size, self.packed_size, offset)
            sizes = (_U32, _U32, _U32)
        head = struct.pack(
            *("<4s2B5H3L", b"PK\x01\x02", 45, self.system, 20, self.flags, self.method, 0, 33),
            *(self.crc, sizes[0], sizes[1]),
        )
        rest = struct.pack(
            *("<5H2L", len(self.name), len(extra), len(self.comment), self.disk, 0),
            *(self.mode << 16, sizes[2]),
        )
        return head + rest + self.name + extra + self.comment


def zip_of(
    *entries: Zipped | tuple[bytes | str, bytes] | str,
    comment: bytes = b"",
    prefix: bytes = b"",
    counted_prefix: bool = False,
    zip64: bool = False,
    count: int | None = None,
    disk: int = 0,
    offset: int | None = None,
    size: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """A ZIP; ``counted_prefix``: offsets count the prefix, as some self-extractors write them."""
    body, central = [prefix], []
    at = 0
    for entry in map(_zipped, entries):
        local = entry.local()
        central.append(entry.central(at + (len(prefix) if counted_prefix else 0)))
        body.append(local)
        at += len(local)
    directory = b"".join(central)
    told_offset = at + (len(prefix) if counted_prefix else 0) if offset is None else offset
    told_size = len(directory) if size is None else size
    told_count = len(entries) if count is None else count
    end64 = b""
    if zip64:
        start = len(prefix) + at + len(directory)
        end64 = struct.pack(
            *("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0),
            *(told_count, told_count, told_size, told_offset),
        ) + struct.pack("<4sLQL", b"PK\x06\x07", 0, start, 1)
        told_count, told_size, told_offset = _U16, _U32, _U32
    end = struct.pack(
        *("<4s4H2LH", b"PK\x05\x06", disk, disk, told_count & _U16, told_count & _U16),
        *(told_size, told_offset, len(comment)),
    )
    return b"".join((*body, directory, end64, end, comment, tail))


def _zipped(entry: Zipped | tuple[bytes | str, bytes] | str) -> Zipped:
    if isinstance(entry, Zipped):
        return entry
    return Zipped(entry) if isinstance(entry, str) else Zipped(*entry)


def many_zipped(count: int) -> bytes:
    """A ZIP of ``count`` small files, made once and cheaply; ZIP64 where it must be."""
    entries = [
        Zipped(f"schema_{i % 500:03}/models/query_{i:06}.sql", b"select %d\n" % i, STORED)
        for i in range(count)
    ]
    return zip_of(*entries, zip64=count > _U16 - 1)


def unicode_path(raw: bytes, text: str) -> bytes:
    """Info-ZIP's extra field with the name in UTF-8."""
    data = b"\x01" + struct.pack("<L", zlib.crc32(raw)) + text.encode()
    return struct.pack("<2H", 0x7075, len(data)) + data


def shared_bytes(count: int = 20) -> bytes:
    """A bomb by overlap: every entry's packed data is the same kernel."""
    kernel = Zipped("0.sql", bytes(100_000))
    others = [Zipped(f"{i}.sql", kernel.data, offset=0, packed=b"") for i in range(1, count)]
    for other in others:
        other.packed_size = kernel.packed_size
    return zip_of(kernel, *others)


def quoted_headers() -> bytes:
    """A bomb by quoting: the first entry's extra field swallows the second entry's header."""
    inner = Zipped("b.sql", b"select 2\n", STORED)
    outer = Zipped("a.sql", inner.data, STORED)
    quoted = inner.local()[: -len(inner.data)]
    outer.local_extra = struct.pack("<2H", 0x9999, len(quoted)) + quoted
    outer.packed = b""
    inner.offset = 30 + len(outer.name) + 4
    # Only the second entry's bytes follow; both claim them.
    body = outer.local() + inner.data
    directory = outer.central(0) + inner.central(inner.offset)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), len(body), 0)
    return body + directory + end


@dataclass
class Tarred:
    """One tar entry in the ``tarfile`` module's words."""

    name: str
    data: bytes = b"select 1\n"
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    pax: dict[str, str] | None = None
    size: int | None = None

    def info(self) -> tarfile.TarInfo:
        info = tarfile.TarInfo(self.name)
        info.type = self.kind
        info.linkname = self.link
        info.pax_headers = self.pax or {}
        info.size = len(self.data) if self.size is None else self.size
        return info


END_OF_TAR = bytes(1024)


def tar_blocks(
    entries: Iterable[Tarred | str], kind: TarFormat = tarfile.PAX_FORMAT, encoding: str = "utf-8"
) -> bytes:
    """Headers and contents without the end mark."""
    out = io.BytesIO()
    for entry in entries:
        entry = Tarred(entry) if isinstance(entry, str) else entry
        out.write(entry.info().tobuf(kind, encoding, "surrogateescape"))
        if entry.kind not in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            out.write(entry.data + bytes(-len(entry.data) % 512))
    return out.getvalue()


def tar_of(
    *entries: Tarred | str, kind: TarFormat = tarfile.PAX_FORMAT, encoding: str = "utf-8"
) -> bytes:
    return tar_blocks(entries, kind, encoding) + END_OF_TAR


def header_block(name: bytes, size: bytes, kind: bytes = b"0", data: bytes = b"") -> bytes:
    """One ustar header with a right checksum over whatever the fields hold."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512)


def pax_block(records: Sequence[tuple[str, str]] | bytes, kind: bytes = b"x") -> bytes:
    data = records if isinstance(records, bytes) else b"".join(map(_pax_record, records))
    return header_block(b"pax", b"%011o\0" % len(data), kind, data)


def _pax_record(record: tuple[str, str]) -> bytes:
    body = f" {record[0]}={record[1]}\n".encode()
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def gzip_bomb(size_mib: int) -> bytes:
    """A tar.gz whose one file is ``size_mib`` MiB of zeros, made in little memory."""
    packer, out = zlib.compressobj(9, zlib.DEFLATED, 31), io.BytesIO()
    out.write(packer.compress(header_block(b"bomb.sql", b"%011o\0" % (size_mib << 20))))
    for _ in range(size_mib):
        out.write(packer.compress(bytes(1 << 20)))
    out.write(packer.compress(END_OF_TAR) + packer.flush())
    return out.getvalue()
