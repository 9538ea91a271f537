"""The files that a local process left."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.adapters.engines import output_names


def read(
    folder: Path, *, limit_bytes: int, limit_files: int
) -> Iterator[tuple[str, int, BinaryIO]]:
    """Yield path, size and content of the regular files below the folder; no link is followed."""
    bounds = output_names.Bounds(limit_bytes, limit_files)
    for top, _folders, names in os.walk(folder):
        for name in names:
            file = Path(top) / name
            path = str(file.relative_to(folder))
            if output_names.is_safe(path) and stat.S_ISREG(file.lstat().st_mode):
                yield from _one(file, path, bounds)


def _one(file: Path, path: str, bounds: output_names.Bounds) -> Iterator[tuple[str, int, BinaryIO]]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as stream:
        size_bytes = os.fstat(descriptor).st_size
        bounds.take(size_bytes)
        yield path, size_bytes, stream
