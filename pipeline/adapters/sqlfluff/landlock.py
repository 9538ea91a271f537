"""Takes the file system away from this process, but for reading the code it may still import.

Landlock is a Linux feature that needs no privilege. Where the kernel has none, nothing happens.
"""

import contextlib
import ctypes
import os
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# What each version of the interface can take away, as bits of its own structure.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
_BIND_AND_CONNECT = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def keep_only(readable: list[str]) -> bool:
    """Whether the fence stands: only files in these folders can be read, nothing written, no
    network reached and no process signalled. Needs ``no_new_privs`` (or root)."""
    if sys.platform != "linux":
        return False
    try:
        return _restrict(ctypes.CDLL(None, use_errno=True), readable)
    except (OSError, AttributeError):
        return False


def _restrict(libc: ctypes.CDLL, readable: list[str]) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    bits = max(count for since, count in _FILE_RIGHTS.items() if since <= version)
    wanted = _Ruleset(
        (1 << bits) - 1,
        _BIND_AND_CONNECT if version >= _NETWORK_SINCE else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version >= _SCOPES_SINCE else 0,
    )
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _NETWORK_SINCE else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), size, 0)
    if ruleset < 0:
        return False
    try:
        for folder in readable:
            with contextlib.suppress(OSError):
                _allow_reading(libc, ruleset, folder)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, folder: str) -> None:
    parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        # EXECUTE: shared objects are mapped, not only read.
        rule = _PathBeneath(_EXECUTE | _READ_FILE | _READ_DIR, parent)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def code_folders() -> list[str]:
    """The standard library, and the packages loaded so far."""
    folders = {os.path.dirname(str(os.__file__))}
    for name, module in list(sys.modules.items()):
        if "." not in name:
            folders.update(getattr(module, "__path__", ()))
    return sorted(folder for folder in folders if os.path.isdir(folder))
