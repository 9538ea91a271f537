"""A service in a folder of its own that takes hostile archives, watched for what it leaves behind.

``Arena.expand`` goes the whole way of a job: the source is stored, the row written, the plan run,
its packs and task rows read back. What was written anywhere but in the service's own storage, and
every traceback that was logged, is counted.
"""

import logging
import os
import sys
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core import jobs, planning
from pipeline.core.context import close_context, open_context
from pipeline.core.jobs import Submission
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.settings import Settings
from pipeline.states import TERMINAL_JOB
from pipeline.store.database import session
from pipeline.store.models import TaskRow

#: What changes the file system, as the interpreter tells it to audit hooks, and where its path is.
_CHANGES = {
    **{"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.remove": 0, "os.rmdir": 0},
    **{"os.truncate": 0, "os.chmod": 0, "os.chown": 0, "os.utime": 0, "subprocess.Popen": 0},
    **{"os.system": 0, "os.posix_spawn": 0, "os.exec": 0, "socket.connect": 1},
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Watch:
    """Sees every file that this process opens for writing, makes, renames or removes."""

    def __init__(self) -> None:
        self.outside: list[str] = []
        self._inside: str | None = None
        sys.addaudithook(self._hear)

    @contextmanager
    def within(self, folder: Path | None) -> Iterator[None]:
        """Everything written meanwhile belongs into ``folder``; nothing is, where it is None."""
        self._inside = str(folder) if folder else "/nowhere"
        try:
            yield
        finally:
            self._inside = None

    def _hear(self, event: str, told: tuple[Any, ...]) -> None:
        if self._inside is None:
            return
        if event == "open":
            path, mode, flags = told
            if not (isinstance(flags, int) and flags & _WRITING) and not _writes(mode):
                return
        elif event in _CHANGES:
            path = told[_CHANGES[event]]
        else:
            return
        if isinstance(path, int):
            return  # a descriptor: its opening was seen
        told_path = (
            os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes) else str(path)
        )
        if not told_path.startswith(self._inside + "/") and told_path != "/dev/null":
            self.outside.append(f"{event} {told_path}")


def _writes(mode: object) -> bool:
    return isinstance(mode, str) and any(sign in mode for sign in "wax+")


class Tracebacks(logging.Handler):
    """Counts the log records that carry one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


class Arena:
    """``folder/state`` is the service's; beside it lie canaries and the folders it might touch."""

    def __init__(self, folder: Path, **told: Any) -> None:
        self._folder = folder
        self.state = folder / "state"
        for name in ("state", "tmp", "home"):
            (folder / name).mkdir()
        for place in (folder, folder / "tmp", folder / "home"):
            for name in ("canary", "canary.sql", "x.sql", ".sqlfluff"):
                (place / name).write_text("untouched")
        self._before = self._listing()
        self.watch = Watch()
        self.tracebacks = Tracebacks()
        self._context = open_context(Settings(state_dir=self.state, broker_url="memory://", **told))
        logging.getLogger("pipeline").addHandler(self.tracebacks)
        self._jobs: set[str] = set()

    def _listing(self) -> dict[str, bytes]:
        """Every file beside the state folder, and what it holds."""
        return {
            str(path): path.read_bytes() if path.is_file() else b""
            for path in sorted(self._folder.rglob("*"))
            if not path.is_relative_to(self.state)
        }

    def expand(self, data: bytes) -> str:
        """Take the archive as a job's source and plan it; return how the plan ended."""
        with self.watch.within(self.state):
            blobs = self._context.blobs
            digest = blobs.put(data).digest
            source = {"name": "x", "size_bytes": len(data), "digest": digest, "blobs": [digest]}
            parameters = LintParameters.model_validate({"dialect": "ansi"}).model_dump(mode="json")
            job_id = jobs.submit(Submission("sql_lint", parameters, source), heard=False)
            self._jobs.add(str(job_id))
            planning.run_plan(job_id, self._context)
        job = jobs.get(job_id)
        assert job.planned_at is not None, f"the plan is to run again: {job.message}"
        if job.reason is not None and job.total == 0:
            assert job.state in TERMINAL_JOB
            assert job.message.endswith("."), job.message
            return str(job.reason)
        self._check_tasks(job_id)
        return "planned"

    def _check_tasks(self, job_id: uuid.UUID) -> None:
        """Every task names a place in a pack that holds its content, or why it has none."""
        with session():
            for task in TaskRow.select().where(TaskRow.job == job_id):
                task.name.encode()
                if task.state == "pending":
                    pack, _ = task.payload["blobs"]
                    place = (task.payload["at"], task.payload["length"])
                    [packed] = self._context.blobs.read_parts(pack, [place])
                    assert len(zlib.decompress(packed)) == task.size_bytes
                else:
                    assert task.reason, task.state

    def strays(self) -> list[str]:
        """Everything that lies where it should not, or lies no more where it should."""
        after = self._listing()
        both = self._before.keys() | after.keys()
        found = [path for path in both if self._before.get(path) != after.get(path)]
        blobs = self.state / "blobs"
        found += [str(path) for path in (blobs / "spool").rglob("*")]
        for path in blobs.rglob("*"):
            folder, *rest = path.relative_to(blobs).parts
            known = folder == "sha256" or folder == "spool"
            known = known or (folder == "jobs" and (not rest or rest[0] in self._jobs))
            if not known:
                found.append(str(path))
        return sorted({*found, *self.watch.outside})

    def close(self) -> None:
        """The service ends; its folder is the caller's to remove."""
        logging.getLogger("pipeline").removeHandler(self.tracebacks)
        close_context()


@contextmanager
def arena(folder: Path, **told: Any) -> Iterator[Arena]:
    """An arena whose temporary files lie in a folder that is watched, too."""
    before = tempfile.tempdir
    made = Arena(folder, **told)
    tempfile.tempdir = str(folder / "tmp")
    try:
        yield made
    finally:
        tempfile.tempdir = before
        made.close()
