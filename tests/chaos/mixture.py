"""What a soak submits: jobs of both kinds and all sorts, each with the end that it must come to."""

import io
import random
import shutil
import tempfile
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.producer import Client
from pipeline.settings import Settings
from tests.support.recount import Wanted

Files = dict[str, bytes]

#: Takes longer than any time limit.
BOMB = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}\n"
#: The last file of some jobs, and how it ends.
BAD_FILES = (
    (bytes(range(256)) * 20, "failed/unreadable"),
    (b"select {{ 'a' * 2000000000 }}\n", "failed/out_of_memory"),
    (BOMB, "timed_out/time_limit"),
)
#: How many ended jobs are kept to be retried.
KEPT = 50


@dataclass
class Mixture:
    """Submits one job after the other by chance; ``accepted`` holds what each was promised.

    ``refused`` maps archives that cannot be used to the reason of their job's end. Nobody is told
    of more than ``accepted`` holds, so a recount finds whatever was lost.
    """

    client: Client
    folder: Path
    accepted: dict[str, Wanted]
    chance: random.Random
    refused: dict[str, str] = field(default_factory=dict)
    cancelled: dict[str, Wanted] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    _number: int = 0
    _to_cancel: list[tuple[float, str]] = field(default_factory=list)
    _kept: list[str] = field(default_factory=list)

    def submit(self) -> None:
        """Submit one job."""
        sorts: dict[Callable[[], str], int] = {
            self.trivial: 30,
            self.archived: 25,
            self.in_a_folder: 15,
            self.with_a_bad_file: 8,
            self.with_an_encrypted_entry: 4,
            self.refused_whole: 8,
            self.cancelled_soon: 8,
            self.again: 6,
        }
        [sort] = self.chance.choices(list(sorts), list(sorts.values()))
        job_id = sort()
        self.told[sort.__name__] += 1
        self._kept = [*self._kept[-KEPT:], job_id]

    def cancel_due(self) -> None:
        """Cancel what is due for it."""
        now = time.monotonic()
        for at, job_id in [each for each in self._to_cancel if each[0] <= now]:
            self._to_cancel.remove((at, job_id))
            if jobs.cancel(uuid.UUID(job_id), actor="soak"):
                promise = self.cancelled[job_id] = self.accepted[job_id]
                self.accepted[job_id] = replace(promise, is_stopped=True)

    def trivial(self) -> str:
        """Tasks that do nothing, some of which fail."""
        tasks = self.chance.randint(1, 150)
        bad = {seq: "unreadable" for seq in range(tasks) if self.chance.random() < 0.02}
        parameters = {"tasks": tasks, "pause_s": self.chance.choice((0.0, 0.002)), "bad": bad}
        job_id = jobs.submit(Submission(kind="trivial", parameters=parameters))
        return self._promised(
            str(job_id), tasks, {seq: f"failed/{reason}" for seq, reason in bad.items()}
        )

    def archived(self) -> str:
        """A ZIP; some of its files were linted before."""
        files = self._files(self.chance.choice((1, 3, 10, 30, 90)))
        priority = self.chance.choice((5, 5, 5, 9))
        return self._linted(zipped(files), len(files), priority=priority)

    def in_a_folder(self) -> str:
        """A folder of the submitter's, gone once the job is stored."""
        files = self._files(self.chance.randint(1, 15))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            return self._linted(folder, len(files), reports=["json", "sarif"])
        finally:
            shutil.rmtree(folder)

    def with_a_bad_file(self) -> str:
        """One file that ends badly, with neighbours that must not."""
        content, end = self.chance.choice(BAD_FILES)
        files = self._files(self.chance.randint(1, 5)) | {"z.sql": content}
        return self._linted(files, len(files), {len(files) - 1: end}, cache=False)

    def with_an_encrypted_entry(self) -> str:
        """A ZIP whose first entry cannot be read; the others can."""
        files = self._files(self.chance.randint(2, 6))
        return self._linted(encrypted(zipped(files)), len(files), {0: "failed/encrypted"})

    def refused_whole(self) -> str:
        """No archive, or one that cannot be used."""
        whole = zipped(self._files(5))
        archive, reason = self.chance.choice(
            (
                (b"no archive at all\n" * 20, "not_an_archive"),
                (b"", "not_an_archive"),
                (whole[: len(whole) // 2], "truncated"),
            )
        )
        job_id = self._linted(archive, 0)
        self.refused[job_id] = reason
        return job_id

    def cancelled_soon(self) -> str:
        """A job that is cancelled while it is expanded or in work, or just after its end."""
        if self.chance.random() < 0.5:
            parameters = {"tasks": 200, "pause_s": 0.005}
            job_id = str(jobs.submit(Submission(kind="trivial", parameters=parameters)))
            self._promised(job_id, 200, {})
        else:
            job_id = self._linted(zipped(self._files(150)), 150, cache=False)
        self._to_cancel.append((time.monotonic() + self.chance.uniform(0.0, 3.0), job_id))
        return job_id

    def again(self) -> str:
        """An ended job, once more; another job while there is none."""
        for job_id in self.chance.sample(self._kept, len(self._kept)):
            promise = self.cancelled.get(job_id) or self.accepted.get(job_id)
            if promise is not None and jobs.get(job_id).finished_at is not None:
                new = str(jobs.retry(uuid.UUID(job_id), Settings(), actor="soak"))
                if job_id in self.refused:
                    self.refused[new] = self.refused[job_id]
                return self._promised(new, promise.tasks, promise.bad)
        return self.trivial()

    def _files(self, count: int) -> Files:
        """Return so many files in the order of their names; one in four was seen before."""
        files = {}
        for place in range(count):
            old = self._number and self.chance.random() < 0.25
            self._number += not old
            number = self.chance.randint(1, self._number) if old else self._number
            files[f"{place:04}.sql"] = b"select amount_%d FROM payments\n" % number
        return files

    def _linted(
        self,
        source: bytes | Path | Files,
        files: int,
        bad: dict[int, str] | None = None,
        **told: Any,
    ) -> str:
        job = self.client.lint(source, dialect="ansi", **{"reports": ["json"], **told})
        return self._promised(job.id, files, bad or {})

    def _promised(self, job_id: str, tasks: int, bad: Mapping[int, str]) -> str:
        self.accepted[job_id] = Wanted(tasks, bad)
        self.tasks += tasks
        return job_id


def zipped(files: Files) -> bytes:
    """Return the files as a ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def encrypted(archive: bytes) -> bytes:
    """Return the ZIP with its first entry said to be encrypted."""
    changed = bytearray(archive)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[changed.find(signature) + offset] |= 1
    return bytes(changed)
