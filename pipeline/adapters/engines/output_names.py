"""Which output is taken: safe names, and not more than is allowed."""

import unicodedata

from pipeline.adapters.engines.errors import OutputTooLarge

MOST_NAME_BYTES = 1024
MOST_COMPONENT_BYTES = 255
#: Control and format characters, surrogates (names that are not UTF-8), separators of lines.
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_safe(path: str) -> bool:
    """Tell whether the relative path can be a file's name anywhere, and shown to people."""
    if any(unicodedata.category(each) in _CATEGORIES for each in path) or "\\" in path:
        return False
    if len(path.encode()) > MOST_NAME_BYTES:
        return False
    return all(
        part not in ("", ".", "..") and len(part.encode()) <= MOST_COMPONENT_BYTES
        for part in path.split("/")
    )


class Bounds:
    """Counts files and bytes, and raises ``OutputTooLarge`` at the first too many."""

    def __init__(self, limit_bytes: int, limit_files: int) -> None:
        self._limit_bytes = limit_bytes
        self._limit_files = limit_files
        self._bytes = 0
        self._files = 0

    def take(self, size_bytes: int) -> None:
        """Count one file."""
        self._files += 1
        self._bytes += size_bytes
        if self._files > self._limit_files:
            raise OutputTooLarge(f"The output has more than {self._limit_files} files.")
        if self._bytes > self._limit_bytes:
            raise OutputTooLarge(f"The output has more than {self._limit_bytes} bytes.")
