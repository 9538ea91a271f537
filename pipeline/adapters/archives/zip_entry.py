"""What the directory's record of one ZIP entry tells about it, without touching its content."""

import stat
from typing import NamedTuple

from pipeline.adapters.archives import names, refusals
from pipeline.adapters.archives.model import RATIO_FLOOR_BYTES, ArchiveLimits, Problem
from pipeline.adapters.archives.zip_content import DEFLATED, STORED
from pipeline.adapters.archives.zip_directory import Record
from pipeline.states import Reason

# Bit 0: encrypted, bit 6: strong encryption, bit 13: header values masked.
_ENCRYPTED_FLAGS = 0x2041
_UTF8_FLAG = 0x800
_SPECIAL_MODES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}


class Entry(NamedTuple):
    """A judged record; ``name`` can be shown, whatever the archive says."""

    name: str
    problem: Problem | None
    has_unsafe_name: bool
    is_folder: bool


def is_encrypted(record: Record) -> bool:
    """True when a password is needed to read the content."""
    return record.flags & _ENCRYPTED_FLAGS != 0


def judge(record: Record, limits: ArchiveLimits) -> Entry:
    """The name as text and the first problem found, names first."""
    # Writers leave the name of a folder with a slash and no content.
    raw_name = record.raw_name
    if raw_name.endswith(b"/") and record.size_bytes == 0:
        return Entry("", None, has_unsafe_name=True, is_folder=True)
    encoded = raw_name
    encodings: tuple[str, ...] = ("utf-8", "gbk", "cp437")
    if record.flags & _UTF8_FLAG:
        encodings = ("utf-8",)
    elif record.unicode_name is not None:
        encoded, encodings = record.unicode_name, ("utf-8",)
    name, problem = names.read(encoded, encodings, limits)
    if problem is not None:
        return Entry(name, problem, has_unsafe_name=True, is_folder=False)
    return Entry(name, _flaw(record, limits), has_unsafe_name=False, is_folder=False)


def _flaw(record: Record, limits: ArchiveLimits) -> Problem | None:
    special = _SPECIAL_MODES.get(stat.S_IFMT(record.mode))
    if special:
        return Problem(Reason.UNSAFE_ENTRY, f"The entry is {special}, not a file: pack the file.")
    if is_encrypted(record):
        return Problem(
            Reason.ENCRYPTED, "The entry is encrypted: pack it again without a password."
        )
    if record.method not in (STORED, DEFLATED):
        method = _METHODS.get(record.method, f"number {record.method}")
        return Problem(
            Reason.UNSUPPORTED,
            f"The entry is compressed by {method}: pack it by Deflate, as 'zip' does.",
        )
    if record.disk:
        return Problem(Reason.UNSUPPORTED, "The entry lies in another file of a split archive.")
    if record.extra_is_bad:
        return Problem(Reason.CORRUPT, "The entry's ZIP64 sizes are missing: pack it again.")
    return _size_flaw(record, limits)


def _size_flaw(record: Record, limits: ArchiveLimits) -> Problem | None:
    size, packed = record.size_bytes, record.packed_bytes
    if size > limits.max_entry_bytes:
        return refusals.entry_too_large(size, limits)
    if size > RATIO_FLOOR_BYTES and size > packed * limits.max_ratio:
        return refusals.entry_shrank(limits)
    if record.method == STORED and size != packed:
        return Problem(
            Reason.CORRUPT, f"The entry declares {size} bytes and stores {packed}: pack it again."
        )
    return None
