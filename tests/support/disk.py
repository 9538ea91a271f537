"""A small disk of a test's own, which can be full or read-only while processes use it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import reaper

MIB = 1024 * 1024
#: Root needs no user namespace for a mount of its own, others get one where the kernel gives it.
NAMESPACES = (("--mount",), ("--user", "--map-root-user", "--mount"))


class Disk:
    """A tmpfs in a mount namespace that a shell of ours holds: it is gone with that shell.

    Others reach it at ``path``, through /proc; a process begun by ``enter`` has it at ``folder``.
    """

    def __init__(
        self,
        shell: subprocess.Popen[str],
        namespace: Sequence[str],
        folder: Path,
        size_bytes: int,
    ) -> None:
        self._shell = shell
        self.folder = folder
        self.enter = ["nsenter", f"--target={shell.pid}", "--preserve-credentials"]
        self.enter += [option for option in namespace if option in ("--user", "--mount")]
        self.path = Path(f"/proc/{shell.pid}/root{folder}")
        self.works = self._do(f"mount -t tmpfs -o size={size_bytes},mode=0777 tmpfs {folder}")

    def fill(self, *, but_bytes: int = 0) -> None:
        """Use up all that is free, but so much."""
        free = os.statvfs(self.path)
        with (self.path / "filler").open("wb") as filler:
            filler.write(bytes(max(0, free.f_bavail * free.f_bsize - but_bytes)))

    def make_room(self) -> None:
        """Free what ``fill`` has used up."""
        (self.path / "filler").unlink()

    def read_only(self) -> None:
        """Let nobody write; the storage's files can be read."""
        assert self._do(f"mount -o remount,bind,ro {self.folder}")

    def writable(self) -> None:
        """Let everybody write again."""
        assert self._do(f"mount -o remount,bind,rw {self.folder}")

    def _do(self, command: str) -> bool:
        assert self._shell.stdin
        assert self._shell.stdout
        try:
            self._shell.stdin.write(f"{command} >&2; echo $?\n")
            self._shell.stdin.flush()
        except BrokenPipeError:
            return False
        return self._shell.stdout.readline() == "0\n"


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Disk]:
    """Yield an empty disk; the test fails with what is needed where none can be had."""
    folder.mkdir()
    for namespace in NAMESPACES:
        shell = subprocess.Popen(
            ["unshare", *namespace, "--propagation", "private", "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        reaper.started(shell.pid)
        try:
            disk = Disk(shell, namespace, folder, size_bytes)
            if disk.works:
                yield disk
                return
        finally:
            told = shell.communicate(timeout=10)[1]
            reaper.ended(shell.pid)
    pytest.fail(
        "A small disk cannot be mounted here. The tests of full and read-only storage need a mount"
        " namespace of their own: run them as root (a container needs --cap-add SYS_ADMIN) or where"
        f" the kernel gives user namespaces to everybody. The last answer: {told.strip()}",
        pytrace=False,
    )
