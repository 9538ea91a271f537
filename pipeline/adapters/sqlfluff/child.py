"""The process that lints: one file after the other, until the pool closes its end."""

import contextlib
import json
import os
import socket
import sys
from typing import Any

from pipeline import processes
from pipeline.adapters.sqlfluff import confinement, frames, landlock, seccomp
from pipeline.adapters.sqlfluff.linting import Engine, failure
from pipeline.states import Reason


def run(
    connection: socket.socket,
    engine: Engine,
    *,
    user: int | None,
    zygote_pid: int,
    address_space_bytes: int,
) -> None:
    """Does not return. Called in a freshly forked process; lowers its rights first."""
    try:
        _settle(connection, user, zygote_pid, address_space_bytes)
        while True:
            _serve_one(connection, engine)
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001  (nobody is left to tell but the exit status)
        os._exit(70)


def _settle(
    connection: socket.socket, user: int | None, zygote_pid: int, address_space_bytes: int
) -> None:
    sys.dont_write_bytecode = True
    kept = connection.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 4096)
    folders = landlock.code_folders()
    confinement.drop_root(user)
    landlock.keep_only(folders)
    confinement.limit_resources(address_space_bytes)
    processes.die_with_parent(zygote_pid)
    seccomp.lint_only()


def _serve_one(connection: socket.socket, engine: Engine) -> None:
    sizes = processes.receive_exactly(connection, frames.WORK.size)
    header_size, data_size = frames.WORK.unpack(sizes)
    header: dict[str, Any] = json.loads(processes.receive_exactly(connection, header_size))
    data = processes.receive_exactly(connection, data_size)
    reply = engine.lint(header, data)
    del data
    connection.sendall(_packed(reply))


def _packed(reply: dict[str, Any]) -> bytes:
    with contextlib.suppress(MemoryError):
        try:
            return frames.pack_reply(reply)
        except OverflowError:
            return frames.pack_reply(
                failure(Reason.TOO_LARGE, "The result of this file is too large to keep.")
            )
    return frames.pack_reply(
        failure(Reason.OUT_OF_MEMORY, "The result of this file does not fit into memory.")
    )
