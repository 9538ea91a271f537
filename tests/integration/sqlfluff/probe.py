"""The zygote with another engine in it: its children try what a lint child must not be able to do.

``python -m tests.integration.sqlfluff.probe CONTROL_FD OWNER_PID``, as the zygote itself is run;
the rights are lowered by the code under test. Run without arguments beyond ``owner``, it is the
owner of such a pool, for another user than the tests' own.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.adapters.sqlfluff import pool as pools
from pipeline.adapters.sqlfluff import processes, zygote

MODULE = "tests.integration.sqlfluff.probe"


class ProbingZygote(processes.Zygote):
    module = MODULE


class Probe:
    """Stands in the engine's place; the work it is sent names the victims."""

    def lint(self, header: dict[str, Any], data: bytes) -> dict[str, Any]:
        if not data.startswith(b'{"port"'):
            return {"reason": None, "message": "", "result": {"pid": os.getpid()}}
        asked = json.loads(data)
        return {"reason": None, "message": "", "result": {"did": did(asked), "is": facts()}}


def facts() -> dict[str, Any]:
    """What this process is."""
    limits = {
        name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        for name in "FSIZE NOFILE NPROC CORE MEMLOCK MSGQUEUE AS".split()
    }
    return {
        "pid": os.getpid(),
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": os.getgroups(),
        "cwd": os.getcwd(),
        "descriptors": [fd for fd in range(4096) if _is_open(fd)],
        "environment": dict(os.environ),
        "limits": limits,
    }


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def did(asked: dict[str, Any]) -> dict[str, str]:
    """What could be done, and what came of it; what failed is left out."""
    done = {}
    for name, attempt in attempts(asked).items():
        try:
            done[name] = repr(attempt())[:200]
        except BaseException:  # noqa: BLE001
            continue
    return done


def attempts(asked: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Each is a crime; each raises when it fails."""
    port, folder = asked["port"], asked["folder"]
    libc = ctypes.CDLL(None, use_errno=True)
    tries: dict[str, Callable[[], Any]] = {
        "tcp": lambda: socket.create_connection(("127.0.0.1", port), timeout=2),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
            b"x", ("127.0.0.1", port)
        ),
        "unix": lambda: socket.socket(socket.AF_UNIX).connect(asked["socket"]),
        "abstract": lambda: socket.socket(socket.AF_UNIX).connect("\0" + asked["abstract"]),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "pair": socket.socketpair,
        "read passwd": lambda: Path("/etc/passwd").read_text(),
        "read open file": lambda: Path(asked["open_file"]).read_text(),
        "read private file": lambda: Path(asked["private_file"]).read_text(),
        "list root": lambda: os.listdir("/root"),
        "list slash": lambda: os.listdir("/"),
        "list folder": lambda: os.listdir(folder),
        "temporary file": tempfile.mkstemp,
        "write": lambda: Path(folder, "written").write_text("x"),
        "empty file": lambda: os.open(f"{folder}/made", os.O_CREAT | os.O_RDONLY, 0o666),
        "append": lambda: os.open(asked["open_file"], os.O_WRONLY | os.O_APPEND),
        "make folder": lambda: os.mkdir(f"{folder}/made.d"),
        "remove": lambda: os.unlink(asked["open_file"]),
        "rename": lambda: os.rename(asked["open_file"], asked["open_file"] + "2"),
        "touch": lambda: os.utime(asked["open_file"]),
        "own change": lambda: os.chmod(asked["open_file"], 0o777),
        "link": lambda: os.symlink("/etc/passwd", f"{folder}/link"),
        "memory file": lambda: os.memfd_create("x"),
        "fork": _fork,
        "run": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "exec": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 7"]),
        "become another": lambda: os.setuid(0 if os.getuid() else 1),
        "raise files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)),
        "raise size": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)),
        "user namespace": lambda: _call(libc.unshare, 0x10000000),
        "network namespace": lambda: _call(libc.unshare, 0x40000000),
        "mount": lambda: _call(libc.mount, b"x", b"/tmp", b"tmpfs", 0, None),
        "key": lambda: _call(libc.syscall, 250, 0, -3, 0),
        "uring": lambda: _call(libc.syscall, 425, 1, ctypes.create_string_buffer(200)),
    }
    for name, pid in asked["victims"].items():
        tries |= _against(libc, name, pid)
    return tries


def _against(libc: ctypes.CDLL, name: str, pid: int) -> dict[str, Callable[[], Any]]:
    process = Path(f"/proc/{pid}")
    return {
        f"signal {name}": lambda: os.kill(pid, 0),
        f"signal group of {name}": lambda: os.killpg(pid, 0),
        f"handle of {name}": lambda: os.pidfd_open(pid),
        f"trace {name}": lambda: _call(libc.ptrace, 0x4206, pid, 0, 0),  # seize
        f"memory of {name}": lambda: (process / "mem").open("rb"),
        f"environment of {name}": lambda: (process / "environ").read_bytes(),
        f"descriptors of {name}": lambda: os.listdir(process / "fd"),
        f"read {name}": lambda: _read_memory(libc, pid),
        f"limits of {name}": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE),
        f"priority of {name}": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
    }


def _read_memory(libc: ctypes.CDLL, pid: int) -> int:
    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    mine = ctypes.create_string_buffer(16)
    here = Piece(ctypes.addressof(mine), 16)
    there = Piece(id(None), 16)
    return _call(libc.process_vm_readv, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


def _call(function: Any, *told: Any) -> int:
    ctypes.set_errno(0)
    answer = int(function(*told))
    if answer < 0:
        raise OSError(ctypes.get_errno(), "")
    return answer


def _fork() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def asked_of(pool: pools.LintPool, asked: dict[str, Any]) -> dict[str, Any]:
    """What the child of a pool could do to these victims, its siblings and its makers added."""
    module: Any = pools
    module.Zygote = ProbingZygote
    try:
        config: dict[str, Any] = {"root": [], "file": [], "overrides": {}}
        children = [pool._take_child(_work(b"", config)) for _ in range(2)]
        for child in children:
            pool._give_back(child)
        assert pool._zygote is not None
        makers = {"owner": os.getpid(), "zygote": pool._zygote.pid}
        victims = {**makers, "sibling": children[0].pid}
        # The child that is given out next is the last that came back.
        told = {**asked, "victims": {**victims, **asked.get("victims", {})}}
        reply = pool.lint(_work(json.dumps(told).encode(), config))
        assert reply.result is not None, reply
        return reply.result
    finally:
        module.Zygote = processes.Zygote


def _work(data: bytes, config: dict[str, Any]) -> pools.LintWork:
    return pools.LintWork("x", data, config, "x")


def _no_warmth(self: zygote.Zygote, dialect: str) -> None:
    """The probe knows no dialects."""


def main() -> None:
    if sys.argv[1] == "owner":
        pool = pools.LintPool(2)
        with contextlib.closing(pool):
            print(json.dumps(asked_of(pool, json.loads(sys.argv[2]))))
        return
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    zygote._load_engine = Probe
    zygote.Zygote._warm_up = _no_warmth  # type: ignore[method-assign]
    zygote.main(sys.argv[1:])


if __name__ == "__main__":
    main()
