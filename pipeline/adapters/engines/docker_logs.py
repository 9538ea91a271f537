"""What a container wrote, from Docker's multiplexed stream."""

import struct
from collections.abc import Iterator
from typing import Any

import urllib3

from pipeline.adapters.engines import cursor
from pipeline.adapters.engines.docker_daemon import Daemon
from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.adapters.engines.model import LogEntry

#: Type of the stream, three bytes of nothing, length of what follows.
_HEADER = struct.Struct(">BxxxL")
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
#: Docker cuts lines at 16 KiB; a frame beyond this is none.
MOST_FRAME_BYTES = 16 * 1024 * 1024


def read(daemon: Daemon, container: str, *, since: str, follow: bool) -> Iterator[LogEntry]:
    """Yield the entries after the cursor; with ``follow`` until the stream ends or is silent.

    A silent stream and a lost connection look alike: the caller asks the daemon how it is.
    """
    parameters = {
        "stdout": 1,
        "stderr": 1,
        "timestamps": 1,
        "follow": int(follow),
        "since": cursor.begin_s(since) or 0,
        "tail": "all",
    }
    with daemon.streamed(f"/containers/{container}/logs", parameters) as body:
        entries = (_entry(*frame) for frame in _frames(body, quiet_is_end=follow))
        yield from cursor.after(since, entries)


def _frames(body: Any, *, quiet_is_end: bool) -> Iterator[tuple[int, bytes]]:
    while True:
        try:
            header = _exactly(body, _HEADER.size)
        except urllib3.exceptions.ReadTimeoutError:
            if quiet_is_end:
                return
            raise
        if not header:
            return
        stream, size_bytes = _HEADER.unpack(header)
        if size_bytes > MOST_FRAME_BYTES:
            raise EngineUnavailable("The Docker host sent a log that cannot be read.")
        yield stream, _exactly(body, size_bytes)


def _exactly(body: Any, size_bytes: int) -> bytes:
    """Return so many bytes, none at the end of the body."""
    read = bytearray()
    while len(read) < size_bytes:
        piece = body.read(size_bytes - len(read))
        if not piece:
            if read:
                raise EngineUnavailable("The Docker host broke off within a log entry.")
            break
        read += piece
    return bytes(read)


def _entry(stream: int, frame: bytes) -> LogEntry:
    timestamp, _, data = frame.partition(b" ")
    return LogEntry(timestamp.decode("ascii", "replace"), _STREAMS.get(stream, "stderr"), data)
