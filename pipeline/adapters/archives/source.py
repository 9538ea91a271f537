"""The bytes under an archive, read by position; failures here are the storage's own."""

import os
from typing import BinaryIO

from pipeline.errors import QuaylineError, Refused, StorageUnavailable


class Source:
    """A seekable file of a known size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._closed = False
        try:
            if not file.seekable():
                raise Refused("The archive must be a file, not a stream: store it first.")
            self.size_bytes = file.seek(0, os.SEEK_END)
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer only where the file ends."""
        if self._closed:
            raise StorageUnavailable("The archive was closed while somebody was reading it.")
        length = min(length, self.size_bytes - offset)
        if length <= 0:
            return b""
        try:
            self._file.seek(offset)
            data = self._file.read(length)
            while len(data) < length:
                more = self._file.read(length - len(data))
                if not more:
                    break
                data += more
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error
        return data

    def close(self) -> None:
        """Reading is over; the file stays open, it belongs to the caller."""
        self._closed = True


def _unreadable(error: Exception) -> QuaylineError:
    return StorageUnavailable(f"The archive cannot be read from its storage: {error}.")
