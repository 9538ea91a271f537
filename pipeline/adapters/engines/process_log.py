"""The log of a local process: entries with their time and stream, bounded by two files."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from pipeline.adapters.engines import timestamps
from pipeline.adapters.engines.model import LogEntry

#: Longer lines come in pieces, as Docker's do.
MOST_LINE_BYTES = 16 * 1024
#: Docker's own word for it; the file before the newest.
OLDER = ".1"
#: Cursors whose place in a file is remembered.
MOST_PLACES = 1000


class LogWriter:
    """Writes entries; thread-safe. Times grow."""

    def __init__(self, path: Path, *, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = max(1, limit_bytes // 2)
        self._lock = threading.Lock()
        self._last = 0
        self._out = path.open("ab")

    def pump(self, stream: str, source: BinaryIO) -> None:
        """Write all that the source gives, line by line; what finds no room on the disk is lost."""
        while piece := source.readline(MOST_LINE_BYTES):
            with contextlib.suppress(OSError):
                self._write(stream, piece)

    def close(self) -> None:
        """No file is held."""
        self._out.close()

    def _write(self, stream: str, data: bytes) -> None:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            timestamp = timestamps.to_text(self._last)
            if self._out.tell() >= self._limit_bytes:
                self._turn()
            self._out.write(f"{timestamp} {stream} {len(data)}\n".encode() + data + b"\n")
            self._out.flush()

    def _turn(self) -> None:
        self._out.close()
        self._path.replace(older(self._path))
        self._out = self._path.open("ab")


def older(path: Path) -> Path:
    """Return where the entries before the newest are."""
    return path.with_name(path.name + OLDER)


class LogReader:
    """Reads logs; whoever asks again with the last cursor goes on where it was. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Where the entries after a cursor begin: the latest of many readers.
        self._places: OrderedDict[tuple[Path, bytes, str], int] = OrderedDict()

    def read(self, path: Path, since: str) -> Iterator[LogEntry]:
        """Yield the whole entries after the cursor, as far as they are written."""
        with ExitStack() as files:
            # The newest is opened first: it may become the older one at any moment.
            sources = [_opened(file, files) for file in (path, older(path))]
            for source in filter(None, reversed(sources)):
                # Its first line, a time, tells a file from those before it.
                head = source.readline()
                with self._lock:
                    source.seek(self._places.get((path, head, since), 0))
                for entry in _entries(source):
                    if entry.timestamp > since:
                        since = entry.timestamp
                        yield entry
                self._note((path, head, since), source.tell())

    def _note(self, key: tuple[Path, bytes, str], place: int) -> None:
        with self._lock:
            self._places[key] = place
            while len(self._places) > MOST_PLACES:
                self._places.popitem(last=False)


def _opened(path: Path, files: ExitStack) -> BinaryIO | None:
    try:
        return files.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None


def _entries(source: BinaryIO) -> Iterator[LogEntry]:
    """Yield whole entries; the source stands behind the last one afterwards."""
    start = source.tell()
    while (head := source.readline()).endswith(b"\n"):
        timestamp, stream, size = head.decode().split()
        data = source.read(int(size))
        if source.read(1) != b"\n":
            break
        start = source.tell()
        yield LogEntry(timestamp, stream, data)
    source.seek(start)
