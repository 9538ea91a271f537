"""What is kept of a container: its log, its output, its result; as files of its job."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from pipeline.adapters.engines.errors import OutputTooLarge
from pipeline.adapters.engines.model import Engine, LogEntry, Seen
from pipeline.core.context import Context
from pipeline.core.executions import Execution

#: What a collector leaves of its result for the case that no API answered.
RESULT_FILE = "result.json"
MOST_RESULT_BYTES = 1024 * 1024
#: Output files named in the result.
MOST_LISTED = 1000


def log_name(execution: Execution) -> str:
    """Return the storage name of the run's log."""
    return run_log_name(execution, execution.run)


def run_log_name(execution: Execution, run: int) -> str:
    """Return the storage name of the log of one of its runs."""
    return f"{_folder(execution, run)}.log"


def output_name(execution: Execution) -> str:
    """Return the storage name of the run's output, a tar archive."""
    return f"{_folder(execution, execution.run)}.tar"


def _folder(execution: Execution, run: int) -> str:
    return f"jobs/{execution.job_id}/tasks/{execution.seq}-{run}"


def keep(
    execution: Execution, seen: Seen, engine: Engine, context: Context
) -> tuple[dict[str, Any], Execution]:
    """Store log and output; return the task's result, and the execution with the container's word
    where it could not be sent. Output beyond the limit is left out, and said in the result."""
    with context.blobs.writing(log_name(execution)) as out:
        log_bytes = _write_log(engine.logs(execution.container), out)
    with context.blobs.writing(output_name(execution)) as out:
        outputs = _Outputs(out)
        limit = context.settings.container_output_bytes
        outputs.write(engine.outputs(execution.container, limit_bytes=limit))
    execution = _with_word(execution, outputs.result)
    return {
        "exit_code": seen.exit_code,
        "oom_killed": seen.oom_killed,
        "success": execution.success,
        "result": execution.result or {},
        "error": execution.error,
        "host": execution.host,
        "container": execution.container,
        "container_id": seen.id,
        "run": execution.run,
        "outputs": outputs.listed,
        "output_files": outputs.number,
        "output_bytes": outputs.size_bytes,
        "output_error": outputs.error,
        "log_bytes": log_bytes,
    }, execution


def _write_log(entries: Iterator[LogEntry], out: BinaryIO) -> int:
    size = 0
    for entry in entries:
        size += len(entry.data)
        out.write(line_of(entry))
    return size


def line_of(entry: LogEntry) -> bytes:
    """Return the entry as a line of the stored log: time, stream (``\\``: no line's end), text."""
    mark = b"" if entry.data.endswith(b"\n") else b"\\"
    text = entry.data.removesuffix(b"\n")
    return b"%s %s%s %s\n" % (entry.timestamp.encode(), entry.stream.encode(), mark, text)


def entry_of(line: bytes) -> LogEntry:
    """Return the entry that the stored line holds."""
    timestamp, stream, text = line.removesuffix(b"\n").split(b" ", 2)
    end = b"" if stream.endswith(b"\\") else b"\n"
    return LogEntry(timestamp.decode(), stream.removesuffix(b"\\").decode(), text + end)


class _Outputs:
    """Writes output files into one tar archive and notes what they are."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.listed: list[dict[str, Any]] = []
        self.number = 0
        self.size_bytes = 0
        self.result: dict[str, Any] = {}
        self.error: str | None = None

    def write(self, files: Iterator[tuple[str, int, BinaryIO]]) -> None:
        """Write them, up to the limit."""
        with tarfile.open(fileobj=self._out, mode="w|") as archive:
            try:
                for path, size, stream in files:
                    told = tarfile.TarInfo(path)
                    told.size = size
                    read = _Read(stream, keep=path == RESULT_FILE)
                    archive.addfile(told, read)
                    self._note(path, size, read)
            except OutputTooLarge as error:
                self.error = error.message

    def _note(self, path: str, size: int, read: "_Read") -> None:
        self.number += 1
        self.size_bytes += size
        if len(self.listed) < MOST_LISTED:
            told = {"path": path, "size_bytes": size, "sha256": read.digest.hexdigest()}
            self.listed.append(told)
        if path == RESULT_FILE:
            self.result = _document(read.kept)


class _Read:
    """A stream that is digested as it is read."""

    def __init__(self, stream: BinaryIO, *, keep: bool) -> None:
        self._stream = stream
        self._keep = keep
        self.kept = b""
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        piece = self._stream.read(size)
        self.digest.update(piece)
        if self._keep and len(self.kept) < MOST_RESULT_BYTES:
            self.kept += piece
        return piece


def _document(text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _with_word(execution: Execution, told: dict[str, Any]) -> Execution:
    """Return the execution; what its result file says counts where no API was told."""
    success = told.get("success")
    if execution.completed_at is not None or not isinstance(success, bool):
        return execution
    result, error = told.get("result_data"), told.get("error_message")
    return replace(
        execution,
        success=success,
        result=result if isinstance(result, dict) else {},
        error=error if isinstance(error, str) else None,
    )
