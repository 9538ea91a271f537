"""The process that has SQLFluff loaded and forks lint children from itself.

Run as ``python -m pipeline.adapters.sqlfluff.zygote CONTROL_FD OWNER_PID``. A fork takes
milliseconds and shares the loaded memory, so a killed child costs no second import. It has one
thread, forks only from there, and ends with its owner: its children then get SIGKILL from the
kernel, even while they are stuck inside Rust or a template.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from pipeline.adapters.sqlfluff import confinement

MAX_MESSAGE_BYTES = 64 * 1024
OWNER_CHECK_S = 0.5
REAP_TIMEOUT_S = 5.0
# Collect rarely: linting makes many objects and little garbage in cycles. (Never switched off.)
GC_THRESHOLDS = (200_000, 50, 50)


def main(arguments: list[str]) -> None:
    """Serves its owner until the control socket or the owner is gone."""
    control_fd, owner_pid = int(arguments[0]), int(arguments[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the owner decides when we end
    control = socket.socket(fileno=control_fd)
    try:
        confinement.leave_network()
        confinement.forbid_new_rights()
        zygote = Zygote()
    except BaseException as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]}).encode())
        raise
    control.send(json.dumps({"ready": os.getpid()}).encode())
    _serve(zygote, control, owner_pid)


def _serve(zygote: "Zygote", control: socket.socket, owner_pid: int) -> None:
    poller = select.poll()
    poller.register(control, select.POLLIN)
    owner_fd = _watch(owner_pid)
    if owner_fd is not None:
        poller.register(owner_fd, select.POLLIN)
    while os.getppid() == owner_pid:
        ready = [fd for fd, _ in poller.poll(OWNER_CHECK_S * 1000)]
        if control.fileno() in ready:
            message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, 1)
            if not message:
                return
            control.send(json.dumps(zygote.answer(json.loads(message), fds)).encode())
        zygote.reap_all()


def _watch(pid: int) -> int | None:
    """A descriptor that becomes readable when ``pid`` ends, where the kernel has them."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


class Zygote:
    """SQLFluff, loaded and warm, and the children forked so far."""

    def __init__(self) -> None:
        self._statuses: dict[int, int | None] = {}  # None: still running
        self._warm: set[str] = set()
        self._engine = _load_engine()
        self._user = confinement.harmless_user(_code_folders())
        self._warm_up("ansi")
        _settle_memory()

    def answer(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """The reply to one request of the owner: ``fork`` or ``reap``."""
        if request["op"] == "fork":
            return {"pid": self._fork(request, fds[0])}
        return {"status": self._reap(request["pid"])}

    def reap_all(self) -> None:
        """Children that have ended leave no zombie; the last statuses stay known."""
        for pid, status in self._statuses.items():
            if status is None:
                self._statuses[pid] = _wait(pid, os.WNOHANG)
        for pid in [pid for pid, status in self._statuses.items() if status is not None][:-256]:
            del self._statuses[pid]

    def _fork(self, request: dict[str, Any], connection_fd: int) -> int:
        for dialect in request["warm"]:
            self._warm_up(dialect)
        zygote_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            from pipeline.adapters.sqlfluff import child

            child.run(
                socket.socket(fileno=connection_fd),
                self._engine,
                user=self._user,
                zygote_pid=zygote_pid,
                address_space_bytes=request["address_space_bytes"],
            )
        os.close(connection_fd)
        self._statuses[pid] = None
        return pid

    def _reap(self, pid: int) -> int | None:
        """How a child ended (as ``waitpid`` says), or None when it has not or is not ours."""
        give_up_at = time.monotonic() + REAP_TIMEOUT_S
        while pid in self._statuses and self._statuses[pid] is None:
            self._statuses[pid] = _wait(pid, os.WNOHANG)
            if self._statuses[pid] is None:
                if time.monotonic() > give_up_at:
                    break
                select.select([], [], [], 0.005)
        return self._statuses.get(pid)

    def _warm_up(self, dialect: str) -> None:
        """Children forked from here on have this dialect expanded."""
        if dialect in self._warm:
            return
        self._warm.add(dialect)
        layers = [{"name": ".sqlfluff", "values": {"core": {"dialect": dialect}}}]
        self._engine.lint(
            {
                "digest": f"warm {dialect}",
                "config": {"root": layers, "file": layers, "overrides": {}},
                "fix": False,
                "disable_noqa": False,
            },
            b"SELECT a.b, {{ 1 }} AS c FROM a WHERE a.b > 1\n",
        )
        if len(self._warm) > 1:
            _settle_memory()


def _wait(pid: int, flags: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, flags)
    except ChildProcessError:
        return -1
    return status if ended == pid else None


def _load_engine() -> Any:
    """Imports what linting needs, lazily loaded parts included."""
    import tqdm
    from sqlfluff.core.config import progress_bar_configuration

    tqdm.tqdm.monitor_interval = 0  # its monitor would be a second thread
    progress_bar_configuration.disable_progress_bar = True
    from pipeline.adapters.sqlfluff import child, decoding, linting, shortcuts

    shortcuts.install()
    sample = "-- naïve 中文 注释 données\nSELECT 1\n"
    for encoding in ("utf-8", "gb18030", "utf-16-le"):
        decoding.decode(sample.encode(encoding))
    decoding.judge(sample.encode("gb18030"))
    assert child
    return linting.Engine()


def _code_folders() -> list[str]:
    import charset_normalizer
    import sqlfluff.dialects

    modules = (sqlfluff.dialects, charset_normalizer, os)
    return [os.path.dirname(str(module.__file__)) for module in modules]


def _settle_memory() -> None:
    """What is loaded now is never looked at by the collector, so that children share it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


if __name__ == "__main__":
    main(sys.argv[1:])
