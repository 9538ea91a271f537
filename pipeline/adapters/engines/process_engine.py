"""Collectors as child processes of this machine: the embedded default where no Docker is.

No isolation: a process is this user's, with a bound on its memory. So only the collectors run.
"""

import contextlib
import os
import platform
import re
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline import clock
from pipeline.adapters.engines import (
    process_control,
    process_folder,
    process_log,
    process_output,
    process_spec,
)
from pipeline.adapters.engines.errors import (
    EngineUnavailable,
    ForeignContainer,
    ImageMissing,
    NoSuchContainer,
)
from pipeline.adapters.engines.model import (
    DEPLOYMENT_LABEL,
    MOST_OUTPUT_FILES,
    Engine,
    EngineInfo,
    LogEntry,
    Seen,
    Spec,
)
from pipeline.errors import Refused

FOLLOW_PAUSE_S = 0.2
#: Beginning of the name of a folder that is made or removed.
PASSING = "."
#: Nobody takes so long to do that.
PASSING_S = 600.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class ProcessEngine(Engine):
    """Processes in folders below one. Thread-safe; may be opened by several processes."""

    def __init__(
        self,
        folder: Path,
        *,
        deployment: str,
        image: str,
        command: Sequence[str] = process_spec.COMMAND,
        sqlite_folders: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._deployment = deployment
        self._image = image
        self._command = command
        self._sqlite_folders = sqlite_folders
        self._log = process_log.LogReader()

    def ping(self) -> EngineInfo:
        """Return what this machine is."""
        return EngineInfo(
            kind="process",
            version=platform.python_version(),
            name=platform.node(),
            cpus=os.cpu_count() or 1,
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            running=sum(seen.state == "running" for seen in self.listed()),
            warnings=["Processes of this machine are not isolated: only the collectors run."],
        )

    def gateway(self) -> str | None:
        """Return the loopback address."""
        return "127.0.0.1"

    def find(self, name: str) -> Seen | None:
        """Return the process of that name; None: there is none."""
        seen = process_spec.seen(self._place(name))
        if seen is None or seen.labels.get(DEPLOYMENT_LABEL) != self._deployment:
            return None
        return seen

    def listed(self) -> list[Seen]:
        """Return all processes of the deployment, in every state."""
        names = sorted(path.name for path in self._folders() if not _is_passing(path))
        found = [self.find(name) for name in names]
        return [seen for seen in found if seen is not None]

    def create(self, spec: Spec) -> Seen:
        """Return the process, not started; the one that is there when there is one."""
        if spec.image != self._image or spec.command is not None:
            raise ImageMissing(
                f"Without Docker only the collectors run, and not the image {spec.image}."
            )
        place = self._place(spec.name)
        with _translated():
            made = self._folder / f"{PASSING}{clock.new_id()}"
            process_spec.prepare(
                *(made, place, spec),
                deployment=self._deployment,
                command=self._command,
                sqlite_folders=self._sqlite_folders,
            )
            if spec.resumes:
                self._put_back(spec.name, made / process_folder.OUTPUT_FOLDER)
            try:
                made.rename(place)
            except OSError:
                # There is one: a folder that is not empty is not replaced.
                shutil.rmtree(made)
        seen = self.find(spec.name)
        if seen is None:
            raise ForeignContainer(f"A process {spec.name} is there that is not ours.")
        return seen

    def start(self, name: str) -> Seen:
        """Return the process, started now or before."""
        if self._there(name).state == "created":
            with _translated():
                process_control.start(self._place(name))
        return self._there(name)

    def stop(self, name: str, *, grace_s: float) -> None:
        """The process has ended: by TERM, or by KILL after the grace. None there is fine."""
        if self.find(name) is not None:
            process_control.stop(self._place(name), grace_s=grace_s)

    def kill(self, name: str, *, signal: str = "KILL") -> None:
        """The signal, ``KILL`` or ``TERM``, was sent, if it runs."""
        if self.find(name) is None:
            return
        if signal == "KILL":
            process_control.kill(self._place(name))
        else:
            process_control.terminate(self._place(name))

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> Iterator[LogEntry]:
        """Yield what it wrote after the entry of that timestamp."""
        seen: Seen | None = self._there(name)
        pause = threading.Event()
        while seen is not None:
            # Whatever was written before the end is in a reading that begins after it.
            is_last = not follow or seen.state != "running"
            for entry in self._log.read(self._place(name) / process_folder.LOG_FILE, since):
                since = entry.timestamp
                yield entry
            if is_last:
                return
            pause.wait(FOLLOW_PAUSE_S)
            seen = self.find(name)

    def outputs(
        self, name: str, *, limit_bytes: int, limit_files: int = MOST_OUTPUT_FILES
    ) -> Iterator[tuple[str, int, BinaryIO]]:
        """Yield the path below the output folder, the size and the content of each of its files."""
        self._there(name)
        folder = self._place(name) / process_folder.OUTPUT_FOLDER
        yield from process_output.read(folder, limit_bytes=limit_bytes, limit_files=limit_files)

    def remove(self, name: str, *, keep_output: bool = False) -> None:
        """The process is not there, nor its folder; a running one was killed."""
        if not keep_output:
            shutil.rmtree(self._kept(name), ignore_errors=True)
        if self.find(name) is None:
            return
        process_control.kill(self._place(name))
        if keep_output:
            shutil.rmtree(self._kept(name), ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                (self._place(name) / process_folder.OUTPUT_FOLDER).rename(self._kept(name))
        gone = self._folder / f"{PASSING}{clock.new_id()}"
        with contextlib.suppress(FileNotFoundError):
            self._place(name).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def remove_leftovers(self, *, keep: Collection[str] = (), dry_run: bool = False) -> int:
        """Remove folders that were being made or removed when their maker died; return how many."""
        kept = {self._kept(name) for name in keep}
        old = [
            path
            for path in self._folders()
            if _is_passing(path) and path not in kept and _age_s(path) > PASSING_S
        ]
        for path in () if dry_run else old:
            shutil.rmtree(path, ignore_errors=True)
        return len(old)

    def close(self) -> None:
        """Nothing is held."""

    def _kept(self, name: str) -> Path:
        return self._folder / f"{PASSING}{name}.output"

    def _put_back(self, name: str, output: Path) -> None:
        """The output folder is the one that was kept, if one was."""
        if self._kept(name).exists():
            output.rmdir()
            self._kept(name).rename(output)

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Refused(f"{name[:60]!r} cannot be the name of a process.")
        return self._folder / name

    def _there(self, name: str) -> Seen:
        seen = self.find(name)
        if seen is None:
            raise NoSuchContainer(f"There is no process {name}.")
        return seen

    def _folders(self) -> list[Path]:
        try:
            return list(self._folder.iterdir())
        except FileNotFoundError:
            return []


def _is_passing(path: Path) -> bool:
    return path.name.startswith(PASSING)


def _age_s(path: Path) -> float:
    try:
        return clock.now().timestamp() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineUnavailable(f"The folder of the processes cannot be used: {error}.") from error
