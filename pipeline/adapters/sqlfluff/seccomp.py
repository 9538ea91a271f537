"""Takes system calls away from this process that linting never makes.

No socket of any family, no other process (not made, signalled, traced, read), no program, nothing
changed on disk, no namespace, no key, no kernel feature of the dangerous kind. A call that is gone
fails with EPERM. The kernel needs no privilege for it, only ``no_new_privs``.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# name: (number on x86_64, number on aarch64); None: there is no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    # the network, and sockets of the file system
    **{"socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200)},
    **{"listen": (50, 201), "accept": (43, 202), "accept4": (288, 242)},
    # processes
    **{"clone": (56, 220), "fork": (57, None), "vfork": (58, None), "clone3": (435, 435)},
    **{"execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "kcmp": (312, 272)},
    **{"process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434)},
    **{"pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "process_madvise": (440, 440)},
    **{"rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpgid": (109, 154)},
    **{"setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122)},
    **{"sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274)},
    **{"move_pages": (279, 239), "migrate_pages": (256, 238)},
    # namespaces, mounts, the kernel
    **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39)},
    **{"pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "fsopen": (430, 430)},
    **{"move_mount": (429, 429), "mount_setattr": (442, 442), "bpf": (321, 280)},
    **{"perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104)},
    **{"personality": (135, 92), "open_by_handle_at": (304, 265), "quotactl": (179, 60)},
    # changes on disk
    **{"creat": (85, None), "openat2": (437, 437), "mkdir": (83, None), "mkdirat": (258, 34)},
    **{"rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None)},
    **{"renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37)},
    **{"symlink": (88, None), "symlinkat": (266, 36), "mknod": (133, None), "mknodat": (259, 33)},
    **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54)},
    **{"truncate": (76, 45), "utime": (132, None), "utimes": (235, None), "utimensat": (280, 88)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7)},
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447)},
}
# These are left for this process itself, ``abort()`` signals its own: with the name that it may
# call itself by besides its process id. (To ``kill``, 0 is the whole group.)
_ON_ITSELF: dict[str, tuple[int, int, int | None]] = {
    **{"kill": (62, 129, None), "tkill": (200, 130, None), "tgkill": (234, 131, None)},
    **{"prlimit64": (302, 261, 0)},
}
# These are left for reading; the number of the argument that holds the flags.
_OPENING: dict[str, tuple[int | None, int | None, int]] = {
    **{"open": (2, None, 1), "openat": (257, 56, 2)},
}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def lint_only() -> bool:
    """Whether the calls are gone, for good. Call last: afterwards nothing can be set up."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        return False
    try:
        code = _filter(*_ARCHITECTURES[platform.machine()], own_pid=os.getpid())
        program = _Program(len(code) // 8, code)
        libc = ctypes.CDLL(None, use_errno=True)
        asked = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
    except (OSError, AttributeError):
        return False
    return bool(asked == 0)


def _filter(column: int, architecture: int, *, own_pid: int) -> bytes:
    """The kernel's little program: it looks at one call and returns what becomes of it."""
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        *(_step(_EQUALS, architecture, 1, 0), _step(_RETURN, _DENY)),
        _step(_LOAD, _NUMBER_AT),
        *(_step(_AT_LEAST, _X32_BIT, 0, 1), _step(_RETURN, _DENY)),
    ]
    for numbers in _CALLS.values():
        if (number := numbers[column]) is not None:
            steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, _DENY)]
    for *known, alias in _ON_ITSELF.values():
        other = own_pid if alias is None else alias
        steps += [
            *(_step(_EQUALS, known[column] or 0, 0, 5), _step(_LOAD, _ARGUMENTS_AT)),
            *(_step(_EQUALS, own_pid, 2, 0), _step(_EQUALS, other, 1, 0)),
            *(_step(_RETURN, _DENY), _step(_RETURN, _ALLOW)),
        ]
    for *opening, argument in _OPENING.values():
        if (number := opening[column]) is not None:
            steps += [
                *(_step(_EQUALS, number, 0, 4), _step(_LOAD, _ARGUMENTS_AT + 8 * argument)),
                *(_step(_ANY_BIT, _WRITING, 0, 1), _step(_RETURN, _DENY)),
                _step(_RETURN, _ALLOW),
            ]
    return b"".join((*steps, _step(_RETURN, _ALLOW)))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
