"""Lowers what a lint process may do, as far as a plain process can lower itself.

Every step is best effort, since each needs something of the system (root, a kernel feature); the
allow-list is what keeps hostile input from running code, these are the fences behind it.
"""

import contextlib
import ctypes
import ctypes.util
import os
import resource
import sys
from pathlib import Path

NOBODY = 65534
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


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
    """No files are written, few opened, no process is started, no message queue is filled, and
    address space ends at ``memory_bytes`` above now's.

    The last is only the second fence: the pool kills on resident memory long before.
    """
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_AS, _address_space_bytes() + memory_bytes)


def harmless_user(code: list[str]) -> int | None:
    """Who root should become: nobody, or the owner of the code where nobody cannot read it.

    SQLFluff keeps reading modules and its own defaults while it works. None: only root with its
    rights can read these folders.
    """
    owners = [os.stat(folder).st_uid for folder in code]
    able = (user for user in (NOBODY, *owners, 0) if all(_can_read(user, one) for one in code))
    return next(able, None)


def drop_root(user: int | None) -> None:
    """Root becomes ``user`` and holds no capability. Others stay who they are.

    A ``user`` of 0 is root by name only: it owns files, and has no right beyond that.
    """
    if os.geteuid() != 0 or user is None:
        return
    with contextlib.suppress(OSError):
        os.setgroups([])
        if user != 0:
            os.setgid(user if user == NOBODY else os.getgid())
            os.setuid(user)
    _drop_capabilities()


def _drop_capabilities() -> None:
    if sys.platform != "linux":
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none_at_all = (ctypes.c_uint32 * 6)()
    with contextlib.suppress(AttributeError, OSError):
        _libc().capset(header, none_at_all)


def _can_read(user: int, folder: str) -> bool:
    """Whether a plain user, in no group, may reach and list this folder."""
    for step in (Path(folder), *Path(folder).parents):
        status = step.stat()
        bits = status.st_mode >> 6 if status.st_uid == user else status.st_mode
        if not bits & 0o1 or (step == Path(folder) and not bits & 0o4):
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
