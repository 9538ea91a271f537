"""Expansion: the archive's SQL files become tasks, streamed, in the archive's order.

Memory does not grow with the archive: one chunk of files is held at a time. The content of the
files that must be linted is stored in packs, one blob per chunk instead of one per file; a task
knows its place in its pack. Files whose result is known are closed here and never travel.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO

from pipeline.adapters.archives import Archive, ArchiveLimits, Member, open_archive
from pipeline.adapters.sqlfluff.config import ConfigTree, Effective, is_config_name
from pipeline.adapters.sqlfluff.version import engine_version
from pipeline.core import documents
from pipeline.core.context import Context
from pipeline.core.planning import Planning
from pipeline.core.tasks import NewTask
from pipeline.errors import Permanent
from pipeline.kinds.sql_lint.configuration import config_tree, sql_suffixes
from pipeline.kinds.sql_lint.spec import LintParameters, StoredSource
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState
from pipeline.store import results
from pipeline.store.models import JobRow

#: The first chunk is small, so that the first result is seen early; the others save statements.
FIRST_CHUNK, CHUNK = 64, 512
CHUNK_BYTES = 4 * 1024 * 1024

#: Part of every result key: changes when the form of the result document does.
RESULT_FORM = "1"

#: Warnings kept for the reports; the rest is counted.
MOST_WARNINGS = 1000


def plan(job: JobRow, planning: Planning, context: Context) -> None:
    """Expand the job's archive into tasks; ``Refused`` when the whole of it cannot be used."""
    parameters = documents.read(LintParameters, job.parameters, "parameters")
    source = documents.read(StoredSource, job.source, "source")
    with closing(context.blobs.open(source.digest)) as file:
        Expansion(file, parameters, planning, context).run()


def archive_limits(settings: Settings) -> ArchiveLimits:
    """Return the limits of the settings in the archive reader's terms."""
    return ArchiveLimits(
        max_entries=settings.max_entries,
        max_entry_bytes=settings.max_entry_bytes,
        max_total_bytes=settings.max_total_bytes,
        max_ratio=settings.max_ratio,
    )


class Expansion:
    """One run over one archive."""

    def __init__(
        self, file: BinaryIO, parameters: LintParameters, planning: Planning, context: Context
    ) -> None:
        self._file = file
        self._parameters = parameters
        self._planning = planning
        self._context = context
        self._configs: dict[str, str] = {}
        self._warnings: list[str] = []
        self._dropped_warnings = 0
        self._engine = engine_version()

    def run(self) -> None:
        """Read the configuration, then the files; leave ``plan.json`` for the reports."""
        with open_archive(self._file, archive_limits(self._context.settings)) as archive:
            tree = self._config_tree(archive)
            for warning in tree.refused:
                self._warn(str(warning))
            count = 0
            for chunk in self._chunks(archive, tree):
                self._planning.add(self._with_pack(chunk))
                count += len(chunk)
                self._planning.stage(f"expanding, {count} files")
        self._leave_notes()

    def _config_tree(self, archive: Archive) -> ConfigTree:
        files: dict[str, bytes] = {}
        for member in archive:
            self._planning.check()
            if is_config_name(member.name) and member.problem is None:
                try:
                    files[member.name] = member.read()
                except Permanent as error:
                    self._warn(f"{member.name}: {error.message}")
        return config_tree(files, self._parameters)

    def _chunks(self, archive: Archive, tree: ConfigTree) -> Iterator[list["Draft"]]:
        suffixes = sql_suffixes(self._context.settings, tree)
        chunk: list[Draft] = []
        size, seq, most = 0, 0, FIRST_CHUNK
        for member in archive:
            if member.nested_archive:
                self._warn(f"{member.name} is an archive inside the archive; it was not opened.")
            if not member.name.lower().endswith(suffixes):
                if member.problem is not None:
                    self._warn(f"{member.name}: {member.problem.message}")
                continue
            if tree.ignores(member.name):
                continue
            draft = self._draft(seq, member, tree)
            seq += 1
            chunk.append(draft)
            size += len(draft.packed)
            if len(chunk) >= most or size >= CHUNK_BYTES:
                yield chunk
                chunk, size, most = [], 0, CHUNK
        if chunk:
            yield chunk

    def _draft(self, seq: int, member: Member, tree: ConfigTree) -> "Draft":
        self._planning.check()
        if member.problem is not None:
            return Draft(seq, member.name, member.size_bytes, problem=member.problem)
        try:
            content = member.read()
        except Permanent as error:
            return Draft(seq, member.name, member.size_bytes, problem=error)
        effective = tree.effective(member.name)
        if effective.problem is not None:
            return Draft(seq, member.name, len(content), problem=effective.problem)
        config = self._config_blob(effective)
        key = self._result_key(content, effective)
        return Draft(seq, member.name, len(content), zlib.compress(content, 1), config, key)

    def _result_key(self, content: bytes, effective: Effective) -> str:
        told = (RESULT_FORM, self._engine, effective.digest, str(self._parameters.fix))
        digest = hashlib.sha256("\0".join(told).encode())
        digest.update(b"\0")
        digest.update(content)
        return digest.hexdigest()

    def _config_blob(self, effective: Effective) -> str:
        if effective.digest not in self._configs:
            text = json.dumps(effective.document, sort_keys=True).encode()
            self._configs[effective.digest] = self._context.blobs.put(text).digest
        return self._configs[effective.digest]

    def _with_pack(self, chunk: list["Draft"]) -> list[NewTask]:
        keys = [draft.key for draft in chunk if draft.problem is None]
        known = results.known(keys) if self._parameters.cache else set()
        fresh = [draft for draft in chunk if draft.problem is None and draft.key not in known]
        pack = ""
        if fresh:
            pack = self._context.blobs.put(b"".join(draft.packed for draft in fresh)).digest
        at = 0
        tasks = []
        for draft in chunk:
            if draft.problem is not None or draft.key in known:
                tasks.append(draft.ended())
                continue
            tasks.append(draft.pending(pack, at))
            at += len(draft.packed)
        return tasks

    def _warn(self, sentence: str) -> None:
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(sentence)
        else:
            self._dropped_warnings += 1

    def _leave_notes(self) -> None:
        if self._dropped_warnings:
            self._warnings.append(f"… and {self._dropped_warnings} more warnings.")
        with self._context.blobs.writing(notes_name(str(self._planning.job_id))) as stream:
            stream.write(json.dumps({"warnings": self._warnings, "engine": self._engine}).encode())


class Draft:
    """A file on its way to being a task."""

    __slots__ = ("config", "key", "name", "packed", "problem", "seq", "size_bytes")

    def __init__(
        self,
        seq: int,
        name: str,
        size_bytes: int,
        packed: bytes = b"",
        config: str = "",
        key: str = "",
        problem: Any = None,
    ) -> None:
        self.seq = seq
        self.name = name
        self.size_bytes = size_bytes
        self.packed = packed
        self.config = config
        self.key = key
        self.problem = problem

    def ended(self) -> NewTask:
        """Return the task of a file that needs no linting: unusable, or its result is known."""
        if self.problem is not None:
            reason, message = Reason(self.problem.reason), self.problem.message
            return self._task({}, TaskState.FAILED, reason, message)
        return self._task({}, TaskState.SUCCEEDED, Reason.REUSED, "", self.key)

    def pending(self, pack: str, at: int) -> NewTask:
        """Return the task of a file that lies in ``pack`` at byte ``at``."""
        place = {"at": at, "length": len(self.packed)}
        return self._task({"blobs": [pack, self.config], **place, "key": self.key})

    def _task(self, payload: dict[str, Any], *told: Any) -> NewTask:
        return NewTask(self.seq, self.name, self.size_bytes, payload, *told)


def notes_name(job_id: str) -> str:
    """Return the storage name of what the expansion noted for the reports."""
    return f"jobs/{job_id}/plan.json"
