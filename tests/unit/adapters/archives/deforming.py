"""Archives deformed where it counts: made whole, one field set wrong, the checksums mended.

Random wounds (``mutating``) mostly end at the first look, a magic or a checksum. These get past it:
each field of a ZIP's local headers, directory, ZIP64 records and end, each field of a tar's headers
and PAX records, names, sizes, offsets and the compressed streams, each with values beside the
right one, at the ends of its range, and of other entries.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from random import Random
from typing import Any

from tests.unit.adapters.archives import building as b
from tests.unit.adapters.archives.building import Tarred, Zipped

NAMES = (
    *(
        b"a.sql",
        b"b/c.sql",
        b"../x.sql",
        b"/x.sql",
        b"a/../../x.sql",
        b"..",
        b".",
        b"",
        b"C:\\x.sql",
    ),
    *(b"a\\..\\x.sql", b"x\0.sql", b"x\n.sql", b"\xff\xfe.sql", b"\x81\x5c.sql", b"d/", b"a.zip"),
    *(
        "x\u202elqs.sql".encode(),
        "报表.sql".encode("gbk"),
        "报表.sql".encode(),
        b"n" * 1500,
        b"d/" * 90,
    ),
    *(b".sqlfluff", b"a/.sqlfluff", b".sqlfluffignore", b"pyproject.toml", b"../.sqlfluff"),
    *(b"jobs/../../../canary", b"sha256/../canary.sql", b"~/canary.sql", b"spool/x.sql"),
)
CONTENTS = (
    *(b"", b"select 1\n", b"SELECT a FROM b\n" * 500, bytes(200_000), bytes(range(256)) * 40),
    *(b"[sqlfluff]\ndialect = ansi\nlibrary_path = /\n", b"[sqlfluff:", b"*.sql\n", b"\xff\xfe\0"),
    *(
        b"[sqlfluff]\n\0\x1b[2J\n",
        b"[x]\0\n[x]\0\n",
        b"[sqlfluff]\nrules = \0\ndialect = \xc3\xa9\n",
    ),
    *(b"[tool.sqlfluff.core]\ndialect = 'ansi'\n", b"[[[[", b"PK\x03\x04", b"\x1f\x8b\x08"),
)
#: (offset, bytes) of the fields behind each magic.
ZIP_FIELDS: dict[bytes, tuple[tuple[int, int], ...]] = {
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": (
        *((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2)),
        *((32, 2), (34, 2), (36, 2), (38, 4), (42, 4)),
    ),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\x06\x06": ((4, 8), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 8)),
    b"PK\x06\x07": ((4, 4), (8, 8), (16, 4)),
    b"PK\x07\x08": ((4, 4), (8, 4), (12, 4)),
}
TAR_FIELDS = ((0, 100), (100, 8), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155), (482, 1))


def deformed(random: Random) -> bytes:
    """A ZIP, a tar or a tar.gz with a few lies in it; now and then two archives in one."""
    made = random.choice((_lying_zip, _lying_zip, _patched_zip, _lying_tar, _lying_tar, _gzipped))(
        random
    )
    return _joined(random, made) if random.random() < 0.1 else made


def _number(random: Random, width: int, right: int = 0) -> int:
    """Beside the right value, at an end of the range, or anywhere in it."""
    most = (1 << 8 * width) - 1
    near = right + random.choice((-1, 1, 8, -46, 46, 100, 512, 65_536))
    return (
        random.choice((0, 1, most, most - 1, most >> 1, near, near, random.randint(0, most))) & most
    )


def _damaged_stream(random: Random, packed: bytes) -> bytes:
    data = bytearray(packed or b"\0")
    at = random.randrange(len(data))
    match random.randrange(6):
        case 0:
            data[at] ^= 1 << random.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data += b"hidden" * random.randint(1, 200)
        case 3:
            data[at:at] = b"\0\xff\xff\0\0"  # an empty stored block
        case 4:
            data[:] = b.deflated(bytes(random.choice((100, 70_000, 1 << 20, 3 << 20))))
        case _:
            data[:] = random.randbytes(random.randint(1, 300))
    return bytes(data)


# --- ZIP ---------------------------------------------------------------------------------------
def _entry(random: Random) -> Zipped:
    """One entry, right in most of its fields."""
    name, data = random.choice(NAMES), random.choice(CONTENTS)
    entry = Zipped(name, data, random.choice((b.STORED, b.DEFLATED, b.DEFLATED)))
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        _tell_a_lie(random, entry)
    return entry


def _tell_a_lie(random: Random, entry: Zipped) -> None:
    assert entry.packed is not None
    told: dict[str, Any] = {
        "flags": random.choice((1, 8, 8, 0x40, 0x800, 0x2000, _number(random, 2))),
        "method": random.choice((0, 8, 12, 14, 99, _number(random, 2))),
        "mode": random.choice((0o120777, 0o020666, 0o040755, 0o010644, _number(random, 2))),
        "system": random.randrange(256),
        "crc": _number(random, 4, entry.crc or 0),
        "size": _number(random, 4, entry.size or 0),
        "packed_size": _number(random, 4, entry.packed_size or 0),
        "offset": _number(random, 4),
        "disk": _number(random, 2),
        "extra": _extra(random),
        "local_extra": _extra(random),
        "local_name": random.choice(NAMES),
        "local_method": _number(random, 2),
        "local_flags": _number(random, 2),
        "comment": random.randbytes(random.choice((1, 70, 40_000))),
        "zip64": True,
        "packed": _damaged_stream(random, entry.packed),
    }
    field = random.choice(list(told))
    setattr(entry, field, told[field])
    if field == "packed" and random.random() < 0.8:
        _mend(entry)


def _mend(entry: Zipped) -> None:
    """The sizes and the checksum agree with the damaged stream, as far as it can be read."""
    assert entry.packed is not None
    entry.packed_size = len(entry.packed)
    if entry.method == b.DEFLATED:
        try:
            data = zlib.decompressobj(-15).decompress(entry.packed, 4 << 20)
        except zlib.error:
            return
        entry.size, entry.crc = len(data), zlib.crc32(data)


def _extra(random: Random) -> bytes:
    wide = struct.pack("<3Q", *(_number(random, 8) for _ in range(3)))
    return random.choice(
        (
            struct.pack("<2H", 1, 24) + wide,
            struct.pack("<2H", 1, random.randrange(30)) + wide[: random.randrange(24)],
            b.unicode_path(random.choice(NAMES), random.choice(("../x.sql", "é.sql", "x\0.sql"))),
            b"\xfe\xca\0\0" * random.choice((1, 40, 5000)),
            random.randbytes(random.randint(1, 60)),
        )
    )


def _lying_zip(random: Random) -> bytes:
    entries = [_entry(random) for _ in range(random.choice((1, 2, 3, 8)))]
    told: dict[str, Any] = {
        "comment": random.choice((b"hello", b"PK\x05\x06" * 9, bytes(65_535))),
        "prefix": random.choice(
            (b"MZ" * 50, b"PK\x03\x04" + bytes(40), b"\x1f\x8b\x08", bytes(512))
        ),
        "counted_prefix": True,
        "zip64": True,
        "count": _number(random, 2, len(entries)),
        "disk": _number(random, 2),
        "offset": _number(random, 4),
        "size": _number(random, 4, 46 * len(entries)),
        "tail": random.choice((b"\r\n", b"PK\x05\x06" + bytes(18), random.randbytes(300))),
    }
    wrong = random.sample(sorted(told), random.choice((0, 0, 0, 1, 1, 2)))
    return b.zip_of(*entries, **{each: told[each] for each in wrong})


def _patched_zip(random: Random) -> bytes:
    """What ``zipfile`` writes, some fields behind some magics set anew."""
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as made:
        for number in range(random.randint(1, 5)):
            with made.open(f"d/{number}.sql", "w", force_zip64=random.random() < 0.3) as entry:
                entry.write(random.choice(CONTENTS))
        made.comment = random.choice((b"", b"comment"))
    data = bytearray(out.getvalue())
    for _ in range(random.randint(1, 3)):
        magic = random.choice([each for each in ZIP_FIELDS if each in data])
        at = random.choice(_all(data, magic))
        offset, width = random.choice(ZIP_FIELDS[magic])
        right = int.from_bytes(data[at + offset : at + offset + width], "little")
        data[at + offset : at + offset + width] = _number(random, width, right).to_bytes(
            width, "little"
        )
    return bytes(data)


def _all(data: bytearray, magic: bytes) -> list[int]:
    found, at = [], data.find(magic)
    while at >= 0:
        found.append(at)
        at = data.find(magic, at + 1)
    return found


# --- tar ---------------------------------------------------------------------------------------
def _tar(random: Random) -> bytearray:
    """Blocks of a few entries and extended headers; no end mark yet."""
    out = bytearray()
    for _ in range(random.randint(1, 6)):
        name = random.choice(NAMES).decode("utf-8", "surrogateescape").replace("\0", "0") or "x"
        kind = random.choice(
            (b"0", b"0", b"0", b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"V")
        )
        entry = Tarred(
            name, random.choice(CONTENTS), kind, link=random.choice(("", "../x", "/etc"))
        )
        if random.random() < 0.3:
            out += _extension(random)
        out += b.tar_blocks([entry], random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
    return out


def _extension(random: Random) -> bytes:
    records = [
        ("path", random.choice(NAMES).decode("latin-1")),
        ("size", str(random.choice((-1, 0, 5, 513, 1 << 40, 10**30, "0x9", "９")))),
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.name", "../x.sql"),
        ("comment", "c" * random.choice((1, 5000))),
    ]
    told = random.sample(records, random.randint(1, 3))
    raw = b"".join(map(b._pax_record, told)) * random.choice((1, 1, 1, 300))
    if random.random() < 0.3:
        raw = raw.replace(b" ", random.choice((b"", b"9 ", b"99999999999999999999999 ")), 1)
    kind = random.choice((b"x", b"x", b"g", b"X", b"L", b"K"))
    return b.pax_block(raw, kind)


def _lying_tar(random: Random) -> bytes:
    """A tar with some header fields set anew and their checksums mended."""
    data = _tar(random)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    for at in random.sample(headers, min(len(headers), random.choice((0, 1, 1, 2, 3)))):
        offset, width = random.choice(TAR_FIELDS)
        data[at + offset : at + offset + width] = _tar_value(random, width)
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data) + random.choice((b.END_OF_TAR, b.END_OF_TAR, b.END_OF_TAR, bytes(512), b""))


def _tar_value(random: Random, width: int) -> bytes:
    value = random.choice(
        (
            *(b"", b"0", b"\x80" + random.randbytes(width - 1), b"\xff" * width, b"7" * width),
            *(b"%o" % _number(random, 4), b" 12 ", b"-1", b"9", random.choice(NAMES)),
            *(b"LKxgXS12367"[(at := random.randrange(11)) : at + 1], random.randbytes(width)),
        )
    )
    return value[:width].ljust(width, b"\0")


def _gzipped(random: Random) -> bytes:
    """A tar in gzip: in pieces, with header fields, its stream damaged, its checksum mended."""
    data = _lying_tar(random)
    match random.randrange(5):
        case 0:
            at = random.randrange(len(data))
            return gzip.compress(data[:at], 1) + gzip.compress(data[at:], 9)
        case 1:
            head = b"\x1f\x8b\x08" + bytes([random.randrange(32)]) + bytes(6)
            field = random.choice((b"\x05\0extra", b"name\0", b"comment\0", b"\xff\xff", b""))
            return head + field + b.deflated(data) + struct.pack("<2L", zlib.crc32(data), len(data))
        case 2:
            stream = _damaged_stream(random, b.deflated(data))
            sums = struct.pack("<2L", zlib.crc32(data), len(data) & 0xFFFFFFFF)
            return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + stream + sums
        case 3:
            return gzip.compress(gzip.compress(data))
        case _:
            return gzip.compress(data, 1)


def _joined(random: Random, data: bytes) -> bytes:
    other = random.choice((_lying_zip, _lying_tar, _gzipped))(random)
    at = random.choice((0, len(data), random.randrange(len(data) + 1)))
    return data[:at] + other + data[at:]
