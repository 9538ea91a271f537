"""What a report is written from: the job's facts, and its files as a stream that can be read again.

Nothing here holds more than one file. A writer that needs totals before details reads the stream
twice; the stream comes from rows and blobs, so its order and content are the same each time.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, BinaryIO

import orjson

from pipeline.states import JobState, TaskState


class Outcome(StrEnum):
    """What a reader of a report wants to know of a file first."""

    CLEAN = "clean"
    VIOLATIONS = "violations"
    # It should have been linted and was not: failed, timed out, cancelled, or still open.
    NOT_LINTED = "not_linted"
    # It was never meant to be linted, such as an archive inside the archive.
    SKIPPED = "skipped"


# Not a state of a task: an entry of the archive that became no task, reported so that it is seen.
SKIPPED_STATE = "skipped"
_STOPPED = {
    JobState.FAILED: "failed",
    JobState.TIMED_OUT: "ran out of time",
    JobState.CANCELLED: "was cancelled",
}


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of the job, as its task ended.

    ``result`` is what the lint engine returned (violations, statistics, warnings, lines, encoding,
    fixed, diff), or None when there is none. ``new`` holds the indexes of the violations that the
    baseline does not know; None when no baseline was given.
    """

    path: str
    state: str
    reason: str | None = None
    message: str = ""
    cached: bool = False
    result: dict[str, Any] | None = None
    new: frozenset[int] | None = None

    @property
    def violations(self) -> list[dict[str, Any]]:
        """SQLFluff's own records, in its own order; empty when the file was not linted."""
        return [] if self.result is None else self.result.get("violations") or []

    @property
    def warnings(self) -> list[str]:
        """What the engine had to say beside violations, such as a refused inline setting."""
        return [] if self.result is None else self.result.get("warnings") or []

    @property
    def lines(self) -> Mapping[str, str]:
        """Source text by line number (a string), for the lines that violations stand on."""
        return {} if self.result is None else self.result.get("lines") or {}

    @property
    def outcome(self) -> Outcome:
        """How the file ended; a task that succeeded without a result was not linted."""
        if self.state == SKIPPED_STATE:
            return Outcome.SKIPPED
        if self.state != TaskState.SUCCEEDED or self.result is None:
            return Outcome.NOT_LINTED
        return Outcome.VIOLATIONS if self.violations else Outcome.CLEAN

    @property
    def explanation(self) -> str:
        """Why the file was not linted: one sentence, never empty."""
        if self.message:
            return self.message
        return f"The file was not linted ({self.reason or self.state})."

    def is_new(self, index: int) -> bool:
        """True when no baseline knows the violation at ``index``."""
        return self.new is None or index in self.new


@dataclass(frozen=True)
class LintReport:
    """A job and its files.

    ``job`` has id, state, kind, dialect, created_at, started_at, finished_at (datetime or ISO
    text), counts, engine, parameters and warnings (a list of sentences); a missing key is no error.
    ``files`` starts the stream anew each time it is called, in the order of the archive.
    """

    job: Mapping[str, Any]
    files: Callable[[], Iterator[FileReport]]

    @property
    def fail_on(self) -> str:
        """The gate's mode as the submitter asked for it; ``any`` when nothing was said."""
        parameters = self.job.get("parameters") or {}
        return str(parameters.get("fail_on") or "any")

    @property
    def warnings(self) -> list[str]:
        """What is to be said about the job as a whole, such as refused configuration keys."""
        return [str(warning) for warning in self.job.get("warnings") or ()]

    @property
    def stopped(self) -> str | None:
        """Why the job as a whole came to nothing, as a sentence; None when it ran to its end.

        A refused archive has no files to tell of it, so every report says it itself.
        """
        state = str(self.job.get("state") or "")
        if state not in (JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED):
            return None
        words = f"The job {_STOPPED[JobState(state)]}."
        message = str(self.job.get("message") or "")
        return f"{words} {message}" if message else words

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to finish; None while either is unknown."""
        started, finished = self.moment("started_at"), self.moment("finished_at")
        if started is None or finished is None:
            return None
        return max(0.0, (finished - started).total_seconds())

    def moment(self, key: str) -> datetime | None:
        """Return the time under ``key`` as an aware datetime; None when absent or unreadable."""
        value = self.job.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
        if not isinstance(value, datetime):
            return None
        return value if value.tzinfo else value.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a report; ``write`` streams bytes and leaves the output open."""

    name: str
    media_type: str
    suffix: str
    write: Callable[[LintReport, BinaryIO], None]


def as_json(value: object) -> str:
    """Return one line of ASCII JSON, as SQLFluff writes: safe in any encoding and terminal."""
    # What orjson does not take (half a surrogate pair, numbers beyond 64 bits) is rare.
    with suppress(TypeError):
        quick = orjson.dumps(value, default=_plain)
        if quick.isascii():
            return quick.decode()
    return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
