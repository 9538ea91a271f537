"""Which names come to be in a folder, however short their life (Linux's inotify)."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_CREATE, IN_MOVED_TO = 0x100, 0x80
_HEAD = struct.Struct("iIII")


@contextmanager
def names_made(folder: Path) -> Iterator[list[str]]:
    """Yield a list that holds, after the block, every name that was made in the folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    made: list[str] = []
    try:
        told = libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_CREATE | IN_MOVED_TO)
        assert told >= 0, os.strerror(ctypes.get_errno())
        yield made
        made.extend(_read(descriptor))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Iterator[str]:
    while True:
        try:
            events = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        while events:
            *_, length = _HEAD.unpack_from(events)
            name, events = events[_HEAD.size :][:length], events[_HEAD.size + length :]
            yield os.fsdecode(name.rstrip(b"\0"))
