"""Lowers what a lint process may do, as far as a plain process can lower itself.

Every step is best effort, since each needs something of the system (root, a kernel feature); the
allow-list is what keeps hostile input from running code, these are the fences behind it.
"""

import contextlib
import ctypes
import ctypes.util
import os
import resource
import signal
import sys
from pathlib import Path

NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int) -> None:
    """This process is killed when the thread that forked it ends; at once if it has ended.

    Call after any change of user: that clears the setting.
    """
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)


def leave_network() -> None:
    """No network is reachable from here on, where the system allows to say so."""
    with contextlib.suppress(AttributeError, OSError):
        _libc().unshare(_CLONE_NEWNET)


def forbid_new_rights() -> None:
    """No set-user-id program gains rights from here on; no core file is written."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)


def limit_resources(memory_bytes: int) -> None:
    """No files are written, few opened, and address space ends at ``memory_bytes`` above now's.

    The last is only the second fence: the pool kills on resident memory long before.
    """
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_AS, _address_space_bytes() + memory_bytes)


def drop_root() -> None:
    """Root becomes nobody, and nobody starts no process."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        _limit(resource.RLIMIT_NPROC, 0)


def nobody_can_read(paths: list[str]) -> bool:
    """Whether the world may read these directories and reach them."""
    for path in map(Path, paths):
        for step in (path, *path.parents):
            mode = step.stat().st_mode
            if mode & 0o001 == 0 or (step == path and mode & 0o004 == 0):
                return False
    return True


def _limit(kind: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 0
    return pages * resource.getpagesize()
