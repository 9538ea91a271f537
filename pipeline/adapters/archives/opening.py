"""Opening an archive: its first bytes say what it is, never its name."""

from typing import BinaryIO

from pipeline.adapters.archives import zip_directory
from pipeline.adapters.archives.model import Archive, ArchiveLimits
from pipeline.adapters.archives.source import Source
from pipeline.adapters.archives.streams import GZIP_MAGIC
from pipeline.adapters.archives.tar_archive import TarArchive, is_tar_start
from pipeline.adapters.archives.zip_archive import ZipArchive
from pipeline.errors import Refused
from pipeline.states import Reason

_HEAD_BYTES = 512
_ZIP_STARTS = (
    zip_directory.LOCAL_MAGIC,
    zip_directory.SPAN_MAGIC,
    zip_directory.END_MAGIC,
    zip_directory.END64_MAGIC,
)
_UNSUPPORTED = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"]\x00\x00", "LZMA"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x1f\x9d", "compress"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"MSCF", "Cabinet"),
)


def open_archive(file: BinaryIO, limits: ArchiveLimits | None = None) -> Archive:
    """The archive in a seekable file: ZIP, tar or tar.gz.

    Raises ``Refused`` when the whole is not usable (no archive, truncated, damaged, encrypted,
    overlapping, too many entries, too large) and ``StorageUnavailable`` when the file cannot be
    read. The file stays open and belongs to the caller.
    """
    limits = limits or ArchiveLimits()
    source = Source(file)
    head = source.read_at(0, _HEAD_BYTES)
    if not head:
        raise _not_an_archive("The file is empty (0 bytes)")
    if head.startswith(_ZIP_STARTS):
        return ZipArchive(source, limits)
    if head.startswith(GZIP_MAGIC):
        return TarArchive(source, limits, gzipped=True)
    if is_tar_start(head):
        return TarArchive(source, limits, gzipped=False)
    for magic, name in _UNSUPPORTED:
        if head.startswith(magic):
            raise Refused(
                f"The file is packed by {name}: send a ZIP, a tar or a tar.gz.",
                reason=Reason.UNSUPPORTED,
            )
    # Last: a ZIP behind other bytes (self-extracting); a tar may well end with one.
    if zip_directory.locate(source) is not None:
        return ZipArchive(source, limits)
    raise _not_an_archive("The file holds no ZIP and no tar")


def _not_an_archive(what: str) -> Refused:
    return Refused(f"{what}: send a ZIP, a tar or a tar.gz.", reason=Reason.NOT_AN_ARCHIVE)
