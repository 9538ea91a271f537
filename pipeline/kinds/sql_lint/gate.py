"""Whether a job passes: which violations count, which are old news, and why.

A violation is known by its path, its rule and the text of its line, never by a line number, so
code that moves stays known. Equal ones are counted: a baseline that knows two knows the first two
of a file, and a third is new.
"""

import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.errors import Refused
from pipeline.states import TaskState

if TYPE_CHECKING:  # The report writers import this module.
    from pipeline.kinds.sql_lint.reports.model import FileReport


class FailOn(StrEnum):
    """What fails the gate.

    With a baseline only violations outside it count, in every mode. A file that should have been
    linted and was not (failed, timed out, cancelled, still open), and a job that came to nothing as
    a whole, fail every mode but ``none``: nothing that was not looked at passes silently. An entry
    that was never meant to be linted (``skipped``) fails no mode; it is counted, and named in the
    reasons.
    """

    # The gate always passes.
    NONE = "none"
    # As the exit status of `sqlfluff lint`: any violation that its configuration does not demote to
    # a warning. Parsing, lexing and templating errors are violations.
    ANY = "any"
    # Any violation, warnings too.
    WARNING = "warning"
    # The same violations as `any`, under the name of their severity.
    ERROR = "error"
    # As `any`, and says that a baseline is meant; without one every violation is new.
    NEW = "new"

    @classmethod
    def parse(cls, text: str) -> "FailOn":
        """Return the mode of that name; Refused for any other."""
        try:
            return cls(text)
        except ValueError:
            names = ", ".join(cls)
            raise Refused(f"The gate cannot fail on {text!r}; it knows {names}.") from None


FAIL_ON = tuple(FailOn)

# A baseline comes from the submitter. One entry takes about 130 bytes.
MAX_BASELINE_BYTES = 32 * 1024 * 1024
MAX_BASELINE_ENTRIES = 250_000
_BASELINE_VERSION = 1
_FINGERPRINT = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``failed``, what was counted, and the reasons as sentences (also when it passed)."""

    failed: bool
    fail_on: FailOn
    counts: dict[str, int]
    reasons: list[str]


@dataclass
class Tally:
    """Counts over files; add each once, in any order."""

    counts: Counter[str] = field(default_factory=Counter)
    compared: bool = False

    def add(self, file: "FileReport") -> None:
        """Count one file and its violations."""
        counts, violations = self.counts, file.violations
        counts.update(("files", str(file.outcome)))
        if file.cached:
            counts["cached"] += 1
        if file.outcome == "not_linted":
            counts[f"not_linted.{_ending(file)}"] += 1
        warnings = {index for index, violation in enumerate(violations) if violation.get("warning")}
        counts["total"] += len(violations)
        counts["warnings"] += len(warnings)
        counts["errors"] += len(violations) - len(warnings)
        counts["fixable"] += sum(bool(violation.get("fixable")) for violation in violations)
        new, new_warnings = len(violations), len(warnings)
        if file.new is not None:
            self.compared = True
            new, new_warnings = len(file.new), len(warnings & file.new)
        counts["new"] += new
        counts["new_warnings"] += new_warnings
        counts["new_errors"] += new - new_warnings

    def numbers(self) -> dict[str, int]:
        """Return the counts under their public names; ``new`` equals all without a baseline."""
        counts = self.counts
        return {
            "files": counts["files"],
            "clean": counts["clean"],
            "with_violations": counts["violations"],
            "not_linted": counts["not_linted"],
            "failed": counts["not_linted.failed"],
            "timed_out": counts["not_linted.timed_out"],
            "cancelled": counts["not_linted.cancelled"],
            "open": counts["not_linted.open"],
            "skipped": counts["skipped"],
            "cached": counts["cached"],
            "violations": counts["total"],
            "errors": counts["errors"],
            "warnings": counts["warnings"],
            "fixable": counts["fixable"],
            "new": counts["new"],
            "new_errors": counts["new_errors"],
            "new_warnings": counts["new_warnings"],
        }

    def verdict(self, fail_on: FailOn | str, stopped: str | None = None) -> Verdict:
        """Return what the gate says of everything added so far.

        ``stopped`` is the sentence of a job that came to nothing as a whole.
        """
        mode = FailOn.parse(fail_on)
        numbers = self.numbers()
        blocking = numbers["new_errors"]
        if mode is FailOn.WARNING:
            blocking += numbers["new_warnings"]
        failed = mode is not FailOn.NONE and bool(blocking or numbers["not_linted"] or stopped)
        reasons = [stopped] if stopped else []
        return Verdict(failed, mode, numbers, [*reasons, *self._reasons(mode, numbers)])

    def _reasons(self, mode: FailOn, numbers: dict[str, int]) -> Iterator[str]:
        new = "new " if self.compared else ""
        if numbers["new_errors"]:
            yield f"{_amount(numbers['new_errors'], f'{new}violation')} of severity error."
        if mode is FailOn.WARNING and numbers["new_warnings"]:
            yield f"{_amount(numbers['new_warnings'], f'{new}violation')} of severity warning."
        known = numbers["violations"] - numbers["new"]
        if known:
            yield f"{_amount(known, 'violation')} known by the baseline did not count."
        endings = ("failed", "timed_out", "cancelled", "open")
        parts = [f"{numbers[key]:,} {key.replace('_', ' ')}" for key in endings if numbers[key]]
        if numbers["not_linted"]:
            files = _amount(numbers["not_linted"], "file")
            yield f"{files} could not be linted: {', '.join(parts)}."
        if numbers["skipped"]:
            were = "entry was" if numbers["skipped"] == 1 else "entries were"
            yield f"{numbers['skipped']:,} {were} skipped."


class Counted:
    """The files of a report; the first reader that comes to their end has counted them."""

    def __init__(self, files: "Callable[[], Iterator[FileReport]]") -> None:
        self._files = files
        self._tally: Tally | None = None

    def __call__(self) -> "Iterator[FileReport]":
        """Start the stream anew."""
        if self._tally is not None:
            yield from self._files()
            return
        tally = Tally()
        for file in self._files():
            tally.add(file)
            yield file
        self._tally = tally

    def tally(self) -> Tally:
        """Return the counts; the stream is read when nobody has yet."""
        if self._tally is None:
            deque(self(), maxlen=0)
        assert self._tally is not None
        return self._tally


def blocking(fail_on: FailOn | str, file: "FileReport") -> frozenset[int]:
    """Return the indexes of the file's violations that fail the gate in that mode."""
    mode = FailOn.parse(fail_on)
    if mode is FailOn.NONE:
        return frozenset()
    return frozenset(
        index
        for index, violation in enumerate(file.violations)
        if file.is_new(index) and (mode is FailOn.WARNING or not violation.get("warning"))
    )


def fingerprints(file: "FileReport") -> Iterator[tuple[str, int]]:
    """Yield (fingerprint, occurrence) of each violation; the pair is unique within the job.

    The fingerprint is 32 hex digits over path, rule code and the line with its white space
    collapsed (case kept); occurrence counts equal ones within the file from 1.
    """
    seen: Counter[str] = Counter()
    lines = file.lines
    for violation in file.violations:
        line = " ".join(str(lines.get(str(violation.get("start_line_no")), "")).split())
        parts = (file.path, str(violation.get("code")), line)
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        fingerprint = hashlib.sha256(text).hexdigest()[:32]
        seen[fingerprint] += 1
        yield fingerprint, seen[fingerprint]


@dataclass(frozen=True, slots=True)
class Known:
    """One entry of a baseline; path and code are there for people who read the file."""

    count: int
    path: str
    code: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The violations that were there before, as a counted multiset of fingerprints."""

    entries: Mapping[str, Known]

    @classmethod
    def of(cls, files: Iterable["FileReport"]) -> "Baseline":
        """Return the baseline that knows every violation of these files."""
        counts: dict[str, list[Any]] = {}
        for file in files:
            pairs = zip(fingerprints(file), file.violations, strict=True)
            for (fingerprint, _), violation in pairs:
                entry = counts.setdefault(fingerprint, [0, file.path, str(violation.get("code"))])
                entry[0] += 1
        return cls({fingerprint: Known(*entry) for fingerprint, entry in counts.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Baseline":
        """Read what ``to_bytes`` wrote; Refused, with a sentence, for anything else."""
        if len(data) > MAX_BASELINE_BYTES:
            _refuse(f"it is larger than {MAX_BASELINE_BYTES // 1024**2} MiB")
        # The format has no lists. Many of them would take far more memory than the file has bytes.
        if data.count(b"[") > MAX_BASELINE_ENTRIES:
            _refuse("it holds lists")
        try:
            document = json.loads(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            _refuse("it is not UTF-8 text")
        except RecursionError:
            _refuse("it is nested too deeply")
        except ValueError as error:
            _refuse(f"it is not JSON: {error}")
        return cls(_entries(document))

    def to_bytes(self) -> bytes:
        """Return the file to keep: one entry a line, ordered by path, rule and fingerprint."""
        ordered = sorted(
            self.entries.items(), key=lambda item: (item[1].path, item[1].code, item[0])
        )
        lines = [
            f"    {json.dumps(fingerprint)}: "
            + json.dumps({"count": known.count, "path": known.path, "code": known.code})
            for fingerprint, known in ordered
        ]
        body = ",\n".join(lines)
        violations = f"{{\n{body}\n  }}" if lines else "{}"
        return (
            f'{{\n  "version": {_BASELINE_VERSION},\n  "tool": "quayline",\n'
            f'  "violations": {violations}\n}}\n'
        ).encode()

    def new_of(self, file: "FileReport") -> frozenset[int]:
        """Return the indexes of the file's violations that exceed what the baseline knows."""
        return frozenset(
            index
            for index, (fingerprint, occurrence) in enumerate(fingerprints(file))
            if fingerprint not in self.entries or occurrence > self.entries[fingerprint].count
        )


def _entries(document: object) -> dict[str, Known]:
    if not isinstance(document, dict) or "version" not in document:
        _refuse("it has no version")
    version = document["version"]
    if isinstance(version, bool) or version != _BASELINE_VERSION:
        _refuse(f"its version is not {_BASELINE_VERSION}")
    violations = document.get("violations")
    if not isinstance(violations, dict):
        _refuse("its violations are not an object")
    if len(violations) > MAX_BASELINE_ENTRIES:
        _refuse(f"it holds more than {MAX_BASELINE_ENTRIES} entries")
    return {fingerprint: _known(fingerprint, entry) for fingerprint, entry in violations.items()}


def _known(fingerprint: str, entry: object) -> Known:
    if not _FINGERPRINT.fullmatch(fingerprint):
        _refuse("a key of its violations is not a fingerprint of 32 hex digits")
    if not isinstance(entry, dict):
        _refuse(f"entry {fingerprint} is not an object")
    count, path, code = entry.get("count"), entry.get("path"), entry.get("code")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= 2**31:
        _refuse(f"entry {fingerprint} has no count of 1 or more")
    if not isinstance(path, str) or not isinstance(code, str):
        _refuse(f"entry {fingerprint} has no path or no code")
    return Known(count, path, code)


def _refuse(why: str) -> NoReturn:
    raise Refused(f"The baseline cannot be used: {why}. Write it anew with --write-baseline.")


def _ending(file: "FileReport") -> str:
    if file.state in (TaskState.TIMED_OUT, TaskState.CANCELLED):
        return str(file.state)
    return "open" if file.state in (TaskState.PENDING, TaskState.RUNNING) else "failed"


def _amount(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
