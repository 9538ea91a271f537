"""Archives that are meant to hurt, and healthy ones that look as if: each with its right answer.

``CASES`` may be run against anything that takes archives. A case says either why the whole is
refused, or for every member name (as shown) why that entry is, None for an entry that reads well.
"""

import io
import operator
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pipeline.adapters.archives import ArchiveLimits
from pipeline.states import Reason
from tests.unit.adapters.archives import building as b
from tests.unit.adapters.archives.building import Tarred, Zipped, tar_of, zip_of

OK = None
GOOD = "good.sql"
SELECT = b"select 1\n"
_ROOMY = ArchiveLimits()


@dataclass(frozen=True)
class Case:
    """One archive; ``entries`` is what a full pass finds unless ``whole`` is refused."""

    id: str
    build: Callable[[], bytes]
    whole: Reason | None = None
    entries: Mapping[str, Reason | None] = field(default_factory=dict)
    limits: ArchiveLimits = _ROOMY
    contents: Mapping[str, bytes] = field(default_factory=dict)


def _beside_good(
    id_: str, entry: Zipped, reason: Reason | None, shown: str = "bad.sql", **more: object
) -> Case:
    """The entry between two good neighbours, which must survive."""
    entries = {GOOD: OK, shown: reason, "last.sql": OK}
    return Case(id_, lambda: zip_of(GOOD, entry, "last.sql"), None, entries, **more)  # type: ignore[arg-type]


def _bad_name(id_: str, name: bytes, shown: str, flags: int = 0) -> Case:
    return _beside_good(f"name {id_}", Zipped(name, flags=flags), Reason.UNSAFE_ENTRY, shown)


def _endless(name: str) -> Zipped:
    return Zipped(name, packed_size=0xFFFFFFFF, extra=b"\x01\0\x08\0" + b"\xff" * 8)


def _refused(id_: str, build: Callable[[], bytes], reason: Reason, **more: object) -> Case:
    return Case(id_, build, reason, **more)  # type: ignore[arg-type]


def _mode(kind: int, data: bytes = b"/etc/passwd") -> Zipped:
    return Zipped("bad.sql", data, mode=kind | 0o777)


DEEP = b"d/" * 5000 + b"x.sql"
UTF8_LIE = b"\xff\xfe.sql"
GBK_NAME = "报表/查询.sql"

ZIP_NAMES = [
    _bad_name("parent", b"../../etc/x.sql", "../../etc/x.sql"),
    _bad_name("parent inside", b"a/../../x.sql", "a/../../x.sql"),
    _bad_name("parent at the end", b"a/..", "a/.."),
    _bad_name("absolute", b"/etc/x.sql", "/etc/x.sql"),
    _bad_name("share", b"//host/x.sql", "//host/x.sql"),
    _bad_name("drive", b"C:/x.sql", "C:/x.sql"),
    _bad_name("drive relative", b"c:x.sql", "c:x.sql"),
    _bad_name("back-slash parent", b"..\\..\\x.sql", "..\\..\\x.sql"),
    _bad_name("back-slash", b"a\\x.sql", "a\\x.sql"),
    _bad_name("NUL", b"x.sql\0.exe", "x.sql\\x00.exe"),
    _bad_name("line feed", b"x\n.sql", "x\\x0a.sql"),
    _bad_name("escape sequence", b"x\x1b[2J.sql", "x\\x1b[2J.sql"),
    _bad_name("delete", b"x\x7f.sql", "x\\x7f.sql"),
    _bad_name("C1 control", "x\u0085.sql".encode(), "x\\x85.sql", b.UTF8),
    _bad_name("right-to-left override", "x\u202elqs.exe".encode(), "x\\u202elqs.exe", b.UTF8),
    _bad_name("unflagged override", "x\u202elqs.exe".encode(), "x\\u202elqs.exe"),
    _bad_name("right-to-left isolate", "x\u2067y.sql".encode(), "x\\u2067y.sql", b.UTF8),
    _bad_name("arabic letter mark", "x\u061cy.sql".encode(), "x\\u061cy.sql", b.UTF8),
    _bad_name("zero-width space", "x\u200b.sql".encode(), "x\\u200b.sql", b.UTF8),
    _bad_name("byte order mark", "\ufeffx.sql".encode(), "\\ufeffx.sql", b.UTF8),
    _bad_name("tag", "x\U000e0041.sql".encode(), "x\\U000e0041.sql", b.UTF8),
    _bad_name("empty", b"", "(no name)"),
    _bad_name("dot", b".", "."),
    _bad_name("dot inside", b"a/./x.sql", "a/./x.sql"),
    _bad_name("empty component", b"a//x.sql", "a//x.sql"),
    _bad_name("only dot slash", b"./", "(no name)"),
    _bad_name("long", b"x" * 2000 + b".sql", "x" * 199 + "…"),
    _bad_name("long component", b"y" * 256, "y" * 199 + "…"),
    _bad_name("as long as it can be", b"z" * 65_535, "z" * 199 + "…"),
    _bad_name("5,000 levels", DEEP, ("d/" * 100)[:199] + "…"),
    _bad_name("65 levels", b"d/" * 64 + b"x.sql", "d/" * 64 + "x.sql"),
    _bad_name("bad bytes with the UTF-8 flag", UTF8_LIE, "\\xff\\xfe.sql", b.UTF8),
    _bad_name("surrogate in UTF-8", b"\xed\xa0\x80.sql", "\\xed\\xa0\\x80.sql", b.UTF8),
    _bad_name("overlong UTF-8 slash", b"..\xc0\xaf.sql", "..\\xc0\\xaf.sql", b.UTF8),
    _bad_name("folder with content", b"bad.sql/", "bad.sql/"),
]

_LIAR_BYTES = 20 * 1024 * 1024
ZIP_ENTRIES = [
    _beside_good("symlink", _mode(stat.S_IFLNK), Reason.UNSAFE_ENTRY),
    _beside_good("character device", _mode(stat.S_IFCHR), Reason.UNSAFE_ENTRY),
    _beside_good("block device", _mode(stat.S_IFBLK), Reason.UNSAFE_ENTRY),
    _beside_good("pipe", _mode(stat.S_IFIFO), Reason.UNSAFE_ENTRY),
    _beside_good("socket", _mode(stat.S_IFSOCK), Reason.UNSAFE_ENTRY),
    _beside_good("encrypted", Zipped("bad.sql", flags=b.ENCRYPTED), Reason.ENCRYPTED),
    _beside_good("strong encryption", Zipped("bad.sql", flags=0x41), Reason.ENCRYPTED),
    _beside_good("AES method", Zipped("bad.sql", method=99, flags=1), Reason.ENCRYPTED),
    *(
        _beside_good(f"method {name}", Zipped("bad.sql", method=number), Reason.UNSUPPORTED)
        for number, name in (
            *((1, "shrink"), (6, "implode"), (9, "deflate64"), (12, "bzip2"), (14, "lzma")),
            *((93, "zstd"), (95, "xz"), (98, "ppmd"), (77, "unknown")),
        )
    ),
    _beside_good("bad CRC deflated", Zipped("bad.sql", crc=1), Reason.CORRUPT),
    _beside_good("bad CRC stored", Zipped("bad.sql", crc=1, method=b.STORED), Reason.CORRUPT),
    _beside_good(
        "declares 10 bytes and holds 20 MB",
        Zipped("bad.sql", bytes(_LIAR_BYTES), size=10),
        Reason.CORRUPT,
    ),
    _beside_good("declares more than it holds", Zipped("bad.sql", size=999), Reason.CORRUPT),
    _beside_good("declares nothing and holds some", Zipped("bad.sql", size=0), Reason.CORRUPT),
    _beside_good("stored sizes differ", Zipped("bad.sql", method=b.STORED, size=4), Reason.CORRUPT),
    _beside_good("not deflated", Zipped("bad.sql", packed=b"\xff" * 40), Reason.CORRUPT),
    _beside_good(
        "deflated data cut off",
        Zipped("bad.sql", bytes(range(256)) * 9, packed=b.deflated(bytes(range(256)) * 9)[:-9]),
        Reason.CORRUPT,
    ),
    _beside_good(
        "more data behind the deflated end",
        Zipped("bad.sql", packed=b.deflated(SELECT) + b"hidden"),
        Reason.CORRUPT,
    ),
    _beside_good("local name differs", Zipped("bad.sql", local_name=b"bat.sql"), Reason.CORRUPT),
    _beside_good("local name longer", Zipped("bad.sql", local_name=b"bad.sql.exe"), Reason.CORRUPT),
    _beside_good("local method differs", Zipped("bad.sql", local_method=0), Reason.CORRUPT),
    _beside_good(
        "encrypted only in its own header", Zipped("bad.sql", local_flags=1), Reason.CORRUPT
    ),
    _beside_good("offset behind the end", Zipped("bad.sql", offset=1 << 30), Reason.CORRUPT),
    _beside_good("on another disk", Zipped("bad.sql", disk=3), Reason.UNSUPPORTED),
    _beside_good(
        "zip64 sizes missing",
        Zipped("bad.sql", size=0xFFFFFFFF, extra=b"\x01\0\x04\0abcd"),
        Reason.CORRUPT,
    ),
    _beside_good(
        "too large by declaration",
        Zipped("bad.sql", size=4_000_000_000),
        Reason.TOO_LARGE,
    ),
    _beside_good(
        "too large by the limit",
        Zipped("bad.sql", b"-" * 101, method=b.STORED),
        Reason.TOO_LARGE,
        limits=ArchiveLimits(max_entry_bytes=100),
    ),
    _beside_good("shrank 1,000 times", Zipped("bad.sql", bytes(2 << 20)), Reason.TOO_LARGE),
    _beside_good(
        "negative zip64 size",
        Zipped("bad.sql", size=0xFFFFFFFF, extra=b"\x01\0\x08\0" + b"\xff" * 8),
        Reason.TOO_LARGE,
    ),
    Case(
        "packed size beyond numbers, at the end",
        lambda: zip_of(GOOD, _endless("bad.sql")),
        None,
        {GOOD: OK, "bad.sql": Reason.OVERLAPPING_ENTRIES},
    ),
    Case(
        "two of one name",
        lambda: zip_of(GOOD, ("x.sql", b"select 1"), ("x.sql", b"select 2")),
        None,
        {GOOD: OK, "x.sql": Reason.DUPLICATE_ENTRY},
    ),
    Case(
        "two of one name once ./ is gone",
        lambda: zip_of(GOOD, "x.sql", "./x.sql"),
        None,
        {GOOD: OK, "x.sql": Reason.DUPLICATE_ENTRY},
    ),
    Case(
        "two of one name in two encodings",
        lambda: zip_of(GOOD, GBK_NAME, Zipped(GBK_NAME.encode("gbk"))),
        None,
        {GOOD: OK, GBK_NAME: Reason.DUPLICATE_ENTRY},
    ),
    _beside_good(
        "zip64 sizes behind thousands of extra fields",
        Zipped(
            "bad.sql", size=0xFFFFFFFF, extra=b"\xcc\xcc\0\0" * 16_000 + b"\1\0\x08\0" + bytes(8)
        ),
        Reason.CORRUPT,
    ),
    Case(
        "header quoted in an extra field",
        b.quoted_headers,
        Reason.OVERLAPPING_ENTRIES,
    ),
]

ZIP_WHOLES = [
    _refused("empty file", lambda: b"", Reason.NOT_AN_ARCHIVE),
    _refused("text", lambda: SELECT * 1000, Reason.NOT_AN_ARCHIVE),
    _refused("binary", lambda: bytes(range(256)) * 50, Reason.NOT_AN_ARCHIVE),
    _refused("only a ZIP's start", lambda: b"PK\x03\x04", Reason.TRUNCATED),
    _refused("only a ZIP's end mark", lambda: b"PK\x05\x06" + bytes(9), Reason.TRUNCATED),
    _refused("truncated in the content", lambda: zip_of(GOOD, "x.sql")[:60], Reason.TRUNCATED),
    _refused("truncated in the end", lambda: zip_of(GOOD, "x.sql")[:-1], Reason.TRUNCATED),
    _refused(
        "truncated behind a stored ZIP",
        lambda: zip_of(GOOD, Zipped("in.zip", zip_of("x.sql"), b.STORED))[:-100],
        Reason.TRUNCATED,
    ),
    _refused("middle cut out", lambda: (z := zip_of(GOOD, "x.sql"))[:9] + z[50:], Reason.CORRUPT),
    _refused("directory overwritten", lambda: _zapped(b"PK\x01\x02"), Reason.CORRUPT),
    _refused("count too high", lambda: zip_of(GOOD, count=5), Reason.CORRUPT),
    _refused("count too low", lambda: zip_of(GOOD, "x.sql", count=1), Reason.CORRUPT),
    _refused("offset too far", lambda: zip_of(GOOD, offset=9999), Reason.CORRUPT),
    _refused("directory too long", lambda: zip_of(GOOD, size=9999), Reason.CORRUPT),
    _refused("several disks", lambda: zip_of(GOOD, disk=2), Reason.UNSUPPORTED),
    _refused(
        "first part of several", lambda: b"PK\x07\x08" + zip_of(GOOD)[:-30], Reason.UNSUPPORTED
    ),
    _refused(
        "all encrypted",
        lambda: zip_of(Zipped("a.sql", flags=1), Zipped("b.sql", flags=1), _folder("d/")),
        Reason.ENCRYPTED,
    ),
    _refused(
        "packed size beyond numbers",
        lambda: zip_of(_endless("bad.sql"), GOOD),
        Reason.OVERLAPPING_ENTRIES,
    ),
    _refused("shared bytes", b.shared_bytes, Reason.OVERLAPPING_ENTRIES),
    _refused(
        "two entries at one place",
        lambda: zip_of(GOOD, Zipped("x.sql", offset=0)),
        Reason.OVERLAPPING_ENTRIES,
    ),
    _refused(
        "entry inside another",
        lambda: zip_of(
            Zipped("a.sql", Zipped("b.sql").local(), b.STORED), Zipped("b.sql", offset=35)
        ),
        Reason.OVERLAPPING_ENTRIES,
    ),
    _refused(
        "too many entries",
        lambda: zip_of(*(f"{i}.sql" for i in range(11))),
        Reason.TOO_MANY_ENTRIES,
        limits=ArchiveLimits(max_entries=10),
    ),
    _refused(
        "too many folders",
        lambda: zip_of(*(_folder(f"{i}/") for i in range(11))),
        Reason.TOO_MANY_ENTRIES,
        limits=ArchiveLimits(max_entries=10),
    ),
    _refused(
        "zip64 count without entries",
        lambda: zip_of(GOOD, zip64=True, count=2**60),
        Reason.TOO_MANY_ENTRIES,
    ),
    _refused(
        "total too large",
        lambda: zip_of(*(f"{i}.sql" for i in range(11))),
        Reason.TOO_LARGE,
        limits=ArchiveLimits(max_total_bytes=95),
    ),
    *(
        _refused(f"packed by {name}", partial(operator.add, magic, bytes(600)), Reason.UNSUPPORTED)
        for name, magic in (
            *(("7z", b"7z\xbc\xaf\x27\x1c"), ("rar", b"Rar!\x1a\x07\x01\x00")),
            *(("bzip2", b"BZh91AY&SY"), ("xz", b"\xfd7zXZ\x00"), ("zstd", b"\x28\xb5\x2f\xfd")),
        )
    ),
]


def _folder(name: str) -> Zipped:
    return Zipped(name, b"", b.STORED, mode=stat.S_IFDIR | 0o755)


def _zapped(magic: bytes) -> bytes:
    return zip_of(GOOD, "x.sql").replace(magic, b"XXXX")


def _by_zipfile(force_zip64: bool = False, streamed: bool = False) -> bytes:
    out = io.BytesIO()
    target = _Unseekable(out) if streamed else out
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (GOOD, "x.sql"):
            with archive.open(name, "w", force_zip64=force_zip64) as entry:
                entry.write(SELECT)
    return out.getvalue()


class _Unseekable:
    """Makes ``zipfile`` write data descriptors."""

    def __init__(self, out: io.BytesIO) -> None:
        self.write = out.write
        self.flush = out.flush
        self.close = out.close


def _healthy(id_: str, build: Callable[[], bytes], *names: str) -> Case:
    names = names or (GOOD, "x.sql")
    contents = dict.fromkeys(names, SELECT)
    return Case(f"healthy {id_}", build, None, dict.fromkeys(names, OK), contents=contents)


CAFE = "caf\u00e9.sql"
HEALTHY_ZIPS = [
    _healthy("zipfile", _by_zipfile),
    _healthy("zip64 entries", lambda: _by_zipfile(force_zip64=True)),
    _healthy("data descriptors by zipfile", lambda: _by_zipfile(streamed=True)),
    _healthy("data descriptors", lambda: zip_of(Zipped(GOOD, flags=8), Zipped("x.sql", flags=8))),
    _healthy("zip64 directory", lambda: zip_of(Zipped(GOOD, zip64=True), "x.sql", zip64=True)),
    _healthy("zip64 behind a prefix", lambda: zip_of(GOOD, "x.sql", zip64=True, prefix=b"MZ" * 99)),
    _healthy("comment", lambda: zip_of(GOOD, "x.sql", comment=b"hello " * 1000)),
    _healthy("comment with an end mark", lambda: zip_of(GOOD, "x.sql", comment=b"PK\x05\x06abc")),
    _healthy("bytes behind the end", lambda: zip_of(GOOD, "x.sql", tail=b"\r\n")),
    _healthy("self-extracting", lambda: zip_of(GOOD, "x.sql", prefix=b"MZ\x90\0" * 5000)),
    _healthy(
        "self-extracting with counted offsets",
        lambda: zip_of(GOOD, "x.sql", prefix=b"#!/bin/sh\n", counted_prefix=True),
    ),
    _healthy("single-part mark", lambda: zip_of(GOOD, "x.sql", prefix=b"PK00")),
    _healthy("stored", lambda: zip_of(Zipped(GOOD, method=0), Zipped("x.sql", method=0))),
    _healthy("entry comments", lambda: zip_of(Zipped(GOOD, comment=b"c" * 900), "x.sql")),
    _healthy("local extra fields", lambda: zip_of(Zipped(GOOD, local_extra=b"UT\2\0ab"), "x.sql")),
    _healthy(
        "one basename in two folders", lambda: zip_of("a/x.sql", "b/x.sql"), "a/x.sql", "b/x.sql"
    ),
    _healthy("two cases of one name", lambda: zip_of("x.sql", "X.SQL"), "x.sql", "X.SQL"),
    _healthy("folders", lambda: zip_of(_folder("a/"), "a/x.sql"), "a/x.sql"),
    _healthy("leading dot slash", lambda: zip_of("./a/x.sql"), "a/x.sql"),
    _healthy("dotted names", lambda: zip_of("...sql", ".hidden/..x"), "...sql", ".hidden/..x"),
    _healthy(
        "UTF-8 names with the flag",
        lambda: zip_of(GBK_NAME, "données/é.sql"),
        GBK_NAME,
        "données/é.sql",
    ),
    _healthy("UTF-8 name without the flag", lambda: zip_of(Zipped(GBK_NAME.encode())), GBK_NAME),
    _healthy("GBK name", lambda: zip_of(Zipped(GBK_NAME.encode("gbk"))), GBK_NAME),
    _healthy(
        "GBK name with a back-slash byte", lambda: zip_of(Zipped(b"\x81\x5c.sql")), "\u4e57.sql"
    ),
    _healthy("cp437 name", lambda: zip_of(Zipped(CAFE.encode("cp437"))), CAFE),
    _healthy(
        "unicode path for a local name",
        lambda: zip_of(Zipped(b"\x82\xa0.sql", extra=b.unicode_path(b"\x82\xa0.sql", "あ.sql"))),
        "あ.sql",
    ),
    _healthy(
        "stale unicode path",
        lambda: zip_of(Zipped(GOOD, extra=b.unicode_path(b"old", "no.sql"))),
        GOOD,
    ),
    _healthy(
        "unicode path for a plain name",
        lambda: zip_of(Zipped(GOOD, extra=b.unicode_path(GOOD.encode(), "../no.sql"))),
        GOOD,
    ),
    _healthy("emoji with joiners", lambda: zip_of("👩\u200d💻.sql"), "👩\u200d💻.sql"),
    _healthy("64 levels", lambda: zip_of("d/" * 63 + "x.sql"), "d/" * 63 + "x.sql"),
    Case("healthy and without entries", zip_of),
    Case("healthy, only a comment", lambda: zip_of(comment=b"nothing here")),
    Case("healthy, only folders", lambda: zip_of(_folder("a/"), _folder("a/b/"))),
    Case("healthy zip64 without entries", lambda: zip_of(zip64=True)),
    Case(
        "healthy empty file inside",
        lambda: zip_of(Zipped("e.sql", b"", b.STORED), Zipped("f.sql", b"")),
        None,
        {"e.sql": OK, "f.sql": OK},
        contents={"e.sql": b"", "f.sql": b""},
    ),
    Case(
        "healthy, shrank far but is small",
        lambda: zip_of(("x.sql", bytes(1 << 20))),
        None,
        {"x.sql": OK},
    ),
]

ZIP_CASES = [*ZIP_NAMES, *ZIP_ENTRIES, *ZIP_WHOLES, *HEALTHY_ZIPS]


def _tar_beside_good(
    id_: str, bad: bytes, reason: Reason | None, shown: str = "bad.sql", **more: object
) -> Case:
    entries = {GOOD: OK, shown: reason, "last.sql": OK}
    build = lambda: b.tar_blocks([GOOD]) + bad + b.tar_blocks(["last.sql"]) + b.END_OF_TAR  # noqa: E731
    return Case(f"tar {id_}", build, None, entries, **more)  # type: ignore[arg-type]


def _tarred(name: str, kind: bytes = b"0", data: bytes = SELECT, link: str = "") -> bytes:
    return b.tar_blocks([Tarred(name, data, kind, link)])


_TAR_MANY = [f"{i}.sql" for i in range(11)]
_RAW = b.header_block
_GNU_SPARSE = _RAW(b"bad.sql", b"%011o\0" % 9, b"S", SELECT)

TAR_ENTRIES = [
    _tar_beside_good("parent", _tarred("../x.sql"), Reason.UNSAFE_ENTRY, "../x.sql"),
    _tar_beside_good("absolute", _tarred("/etc/x.sql"), Reason.UNSAFE_ENTRY, "/etc/x.sql"),
    _tar_beside_good("control character", _tarred("x\n.sql"), Reason.UNSAFE_ENTRY, "x\\x0a.sql"),
    _tar_beside_good("override", _tarred("x\u202ey"), Reason.UNSAFE_ENTRY, "x\\u202ey"),
    _tar_beside_good(
        "5,000 levels", _tarred(DEEP.decode()), Reason.UNSAFE_ENTRY, ("d/" * 100)[:199] + "…"
    ),
    _tar_beside_good("no name", _RAW(b"", b"%011o\0" % 0), Reason.UNSAFE_ENTRY, "(no name)"),
    _tar_beside_good(
        "bytes of no encoding", _RAW(b"\xff\xff.sql", b"0"), Reason.UNSAFE_ENTRY, "\\xff\\xff.sql"
    ),
    _tar_beside_good("symlink", _tarred("bad.sql", b"2", b"", "/etc/passwd"), Reason.UNSAFE_ENTRY),
    _tar_beside_good("hard link", _tarred("bad.sql", b"1", b"", GOOD), Reason.UNSAFE_ENTRY),
    _tar_beside_good("device", _tarred("bad.sql", b"3", b""), Reason.UNSAFE_ENTRY),
    _tar_beside_good("block device", _tarred("bad.sql", b"4", b""), Reason.UNSAFE_ENTRY),
    _tar_beside_good("pipe", _tarred("bad.sql", b"6", b""), Reason.UNSAFE_ENTRY),
    _tar_beside_good("GNU sparse file", _GNU_SPARSE, Reason.UNSUPPORTED),
    _tar_beside_good(
        "PAX sparse file",
        b.pax_block([("GNU.sparse.major", "1"), ("GNU.sparse.name", "bad.sql")])
        + _tarred("p/s.sql"),
        Reason.UNSUPPORTED,
    ),
    _tar_beside_good("unknown type", _RAW(b"bad.sql", b"11", b"Q", SELECT), Reason.UNSUPPORTED),
    _tar_beside_good("second of one name", _tarred(GOOD), Reason.DUPLICATE_ENTRY, GOOD),
    _tar_beside_good("second once ./ is gone", _tarred(f"./{GOOD}"), Reason.DUPLICATE_ENTRY, GOOD),
    _tar_beside_good(
        "too large by the limit",
        _tarred("bad.sql", data=b"-" * 101),
        Reason.TOO_LARGE,
        limits=ArchiveLimits(max_entry_bytes=100),
    ),
    _tar_beside_good(
        "damaged PAX header", b.pax_block(b"nonsense\n") + _tarred("bad.sql"), Reason.CORRUPT
    ),
    _tar_beside_good(
        "PAX record of length 0", b.pax_block(b"0 a=b\n") + _tarred("bad.sql"), Reason.CORRUPT
    ),
    _tar_beside_good(
        "PAX header of 200,000 records",
        b.pax_block(b"5 a=\n" * 200_000) + _tarred("bad.sql"),
        Reason.CORRUPT,
    ),
    _tar_beside_good(
        "PAX length of many digits",
        b.pax_block(b"9" * 60_000 + b" a=b\n") + _tarred("bad.sql"),
        Reason.CORRUPT,
    ),
    _tar_beside_good(
        "PAX header of 2 MiB",
        b.pax_block([("comment", "c" * (2 << 20))]) + _tarred("bad.sql"),
        Reason.TOO_LARGE,
    ),
    _tar_beside_good(
        "GNU name of 2 MiB",
        _RAW(b"L", b"%011o\0" % (2 << 20), b"L", b"n" * (2 << 20)) + _tarred("bad.sql"),
        Reason.UNSAFE_ENTRY,
        "n" * 199 + "…",
    ),
]

TAR_WHOLES = [
    _refused("tar truncated in a header", lambda: tar_of(GOOD, "x.sql")[:1200], Reason.TRUNCATED),
    _refused("tar truncated in content", lambda: tar_of(GOOD, "x.sql")[:1540], Reason.TRUNCATED),
    _refused("tar without its end mark", lambda: b.tar_blocks([GOOD]), Reason.TRUNCATED),
    _refused(
        "tar with a damaged header",
        lambda: b.tar_blocks([GOOD]) + b"\x55" * 512 + tar_of("x.sql"),
        Reason.CORRUPT,
    ),
    _refused(
        "tar with a negative size",
        lambda: b.tar_blocks([GOOD]) + _RAW(b"x.sql", b"\xff" * 12) + b.END_OF_TAR,
        Reason.CORRUPT,
    ),
    _refused(
        "tar with a size beyond numbers",
        lambda: b.tar_blocks([GOOD]) + _RAW(b"x.sql", b"\x80" + b"\xff" * 11) + b.END_OF_TAR,
        Reason.TRUNCATED,
    ),
    _refused(
        "tar with a chain of long names",
        lambda: _RAW(b"L", b"%011o\0" % 6, b"L", b"x.sql\0") * 5000 + tar_of(GOOD),
        Reason.CORRUPT,
    ),
    _refused(
        "tar with a chain of global headers",
        lambda: b.pax_block([("comment", "c")], b"g") * 5000 + tar_of(GOOD),
        Reason.CORRUPT,
    ),
    _refused(
        "tar with too many entries",
        lambda: tar_of(*_TAR_MANY),
        Reason.TOO_MANY_ENTRIES,
        limits=ArchiveLimits(max_entries=10),
    ),
    _refused(
        "tar with too many folders",
        lambda: tar_of(*(Tarred(f"{i}/", b"", tarfile.DIRTYPE) for i in range(11))),
        Reason.TOO_MANY_ENTRIES,
        limits=ArchiveLimits(max_entries=10),
    ),
    _refused(
        "tar too large in total",
        lambda: tar_of(*_TAR_MANY),
        Reason.TOO_LARGE,
        limits=ArchiveLimits(max_total_bytes=95),
    ),
    _refused("zeros", lambda: bytes(3 << 20), Reason.NOT_AN_ARCHIVE),
    _refused("gzip of text", lambda: b.gzipped(SELECT * 200), Reason.NOT_AN_ARCHIVE),
    _refused("gzip of nothing", lambda: b.gzipped(b""), Reason.NOT_AN_ARCHIVE),
    _refused("gzip of zeros", lambda: b.gzipped(bytes(3 << 20)), Reason.NOT_AN_ARCHIVE),
    _refused("only a gzip's start", lambda: b"\x1f\x8b\x08", Reason.TRUNCATED),
    _refused("gzip header damaged", lambda: b"\x1f\x8b\x63" + bytes(60), Reason.CORRUPT),
    _refused("gzip truncated", lambda: b.gzipped(tar_of(GOOD, "x.sql"))[:-12], Reason.TRUNCATED),
    _refused(
        "gzip with a wrong checksum", lambda: _flipped(b.gzipped(tar_of(GOOD)), -8), Reason.CORRUPT
    ),
    _refused("gzip of countless pieces", lambda: b.gzipped(b"") * 5000, Reason.CORRUPT),
    _refused("gzip bomb by ratio", lambda: b.gzip_bomb(64), Reason.TOO_LARGE),
    _refused(
        "gzip bomb by total",
        lambda: b.gzip_bomb(8),
        Reason.TOO_LARGE,
        limits=ArchiveLimits(max_total_bytes=4 << 20),
    ),
]


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x40
    return bytes(changed)


_LONG = "p/" * 60 + "x.sql"
HEALTHY_TARS = [
    _healthy("tar", lambda: tar_of(GOOD, "x.sql")),
    _healthy("tar.gz", lambda: b.gzipped(tar_of(GOOD, "x.sql"))),
    _healthy(
        "tar.gz in two pieces",
        lambda: b.gzipped(t := tar_of(GOOD, "x.sql"))[:0] + b.gzipped(t[:700]) + b.gzipped(t[700:]),
    ),
    _healthy("tar.gz with padding", lambda: b.gzipped(tar_of(GOOD, "x.sql")) + bytes(99)),
    _healthy("ustar", lambda: tar_of(GOOD, "x.sql", kind=tarfile.USTAR_FORMAT)),
    _healthy(
        "GNU tar with long names", lambda: tar_of(_LONG, GOOD, kind=tarfile.GNU_FORMAT), _LONG, GOOD
    ),
    _healthy("PAX tar with long names", lambda: tar_of(_LONG, GOOD), _LONG, GOOD),
    _healthy("ustar prefix", lambda: tar_of(_LONG, kind=tarfile.USTAR_FORMAT), _LONG),
    _healthy("tar with folders", lambda: tar_of(Tarred("./", b"", b"5"), "./a/x.sql"), "a/x.sql"),
    _healthy("UTF-8 tar", lambda: tar_of(GBK_NAME), GBK_NAME),
    _healthy(
        "GBK tar", lambda: tar_of(GBK_NAME, kind=tarfile.GNU_FORMAT, encoding="gbk"), GBK_NAME
    ),
    _healthy(
        "tar with a global header",
        lambda: b.pax_block([("comment", "c")], b"g") + tar_of(GOOD),
        GOOD,
    ),
    _healthy("tar with one zero block", lambda: b.tar_blocks([GOOD]) + bytes(512), GOOD),
    _healthy("tar with a volume label", lambda: _RAW(b"label", b"0", b"V") + tar_of(GOOD), GOOD),
    _healthy(
        "one basename in two folders of a tar",
        lambda: tar_of("a/x.sql", "b/x.sql"),
        "a/x.sql",
        "b/x.sql",
    ),
    Case("healthy tar without entries", tar_of),
    Case("healthy tar.gz without entries", lambda: b.gzipped(bytes(10_240))),
    Case(
        "healthy tar that ends with a ZIP",
        lambda: tar_of(Tarred("in.zip", zip_of("x.sql"))),
        None,
        {"in.zip": OK},
    ),
]


def _gzipped(case: Case) -> bytes:
    return b.gzipped(case.build())


TAR_CASES = [
    *TAR_ENTRIES,
    *(
        Case(
            f"{case.id} in gzip",
            partial(_gzipped, case),
            *(case.whole, case.entries, case.limits),
        )
        for case in TAR_ENTRIES
    ),
    *TAR_WHOLES,
    *HEALTHY_TARS,
]
CASES = [*ZIP_CASES, *TAR_CASES]
