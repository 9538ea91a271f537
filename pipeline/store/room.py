"""Whether the folders of an embedded service can be written: on a full disk all can be read still,
so that nothing fails where people look."""

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import StorageUnavailable

#: With less than this, a commit or a report may find no room, in bytes.
LEAST_BYTES = 1024 * 1024


def check_room(folders: Iterable[Path]) -> None:
    """Raise ``StorageUnavailable`` when one of the folders lies on a full or read-only disk."""
    for folder in folders:
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue
        free = disk.f_bavail * disk.f_frsize
        if disk.f_flag & os.ST_RDONLY:
            raise StorageUnavailable(f"The disk of {folder} is read-only: the job cannot go on.")
        if free < LEAST_BYTES:
            raise StorageUnavailable(
                f"The disk of {folder} is full ({free // 1024} KiB free): the job cannot go on."
            )
