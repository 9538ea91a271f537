"""What is said of a job before its files: totals, rules, folders, and what was not linted.

Gathered in one reading of the stream. Memory holds a number per rule and folder and short lists
that are cut at the limits below.
"""

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from pipeline.kinds.sql_lint.gate import Tally
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.rules import Rule

MAX_TOP_FILES = 10
# Names of files that have no section of their own; every one is in the JSON report.
MAX_LISTED = 500
_MAX_SENTENCE = 600


@dataclass
class RuleCount:
    """How often one rule was broken."""

    rule: Rule
    errors: int = 0
    warnings: int = 0
    fixable: int = 0

    @property
    def total(self) -> int:
        """Both severities."""
        return self.errors + self.warnings


@dataclass(frozen=True, slots=True)
class Unlinted:
    """A file that has no result, and why."""

    path: str
    state: str
    reason: str
    sentence: str


@dataclass
class Summary:
    """Totals over all files; ``sections`` counts the files that have something to show."""

    tally: Tally = field(default_factory=Tally)
    rules: dict[str, RuleCount] = field(default_factory=dict)
    folder_violations: Counter[str] = field(default_factory=Counter)
    folder_files: Counter[str] = field(default_factory=Counter)
    unlinted: dict[Outcome, list[Unlinted]] = field(default_factory=lambda: defaultdict(list))
    clean: list[str] = field(default_factory=list)
    sections: int = 0
    _top: list[tuple[int, int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, report: LintReport) -> "Summary":
        """Return the summary of the whole report."""
        summary = cls()
        for file in report.files():
            summary.add(file)
        return summary

    def add(self, file: FileReport) -> None:
        """Count one file; files come in the order in which they are shown."""
        self.tally.add(file)
        folder = file.path.rpartition("/")[0]
        self.folder_files[folder] += 1
        self.folder_violations[folder] += len(file.violations)
        for violation in file.violations:
            self._count(violation)
        if has_section(file):
            self._rank(file)
            self.sections += 1
        elif file.outcome is Outcome.CLEAN:
            if len(self.clean) < MAX_LISTED:
                self.clean.append(file.path)
        elif len(self.unlinted[file.outcome]) < MAX_LISTED:
            self.unlinted[file.outcome].append(_unlinted(file))

    def top_files(self) -> list[tuple[str, int, int]]:
        """Return (path, violations, number of its section), most violations first."""
        ranked = sorted(self._top, reverse=True)
        return [(path, violations, -section) for violations, section, path in ranked if violations]

    def top_rules(self) -> list[RuleCount]:
        """Return every rule that was broken, most often broken first."""
        return sorted(self.rules.values(), key=lambda count: (-count.total, count.rule.code))

    def top_folders(self) -> list[tuple[str, int, int]]:
        """Return (folder, violations, files) of folders with violations, most violations first."""
        found = [
            (folder, violations, self.folder_files[folder])
            for folder, violations in self.folder_violations.items()
            if violations
        ]
        return sorted(found, key=lambda entry: (-entry[1], entry[0]))

    def _count(self, violation: dict[str, object]) -> None:
        count = self.rules.get(str(violation.get("code")))
        if count is None:
            rule = Rule.of(violation)
            count = self.rules.setdefault(rule.code, RuleCount(rule))
        if violation.get("warning"):
            count.warnings += 1
        else:
            count.errors += 1
        count.fixable += bool(violation.get("fixable"))

    def _rank(self, file: FileReport) -> None:
        # Negative, so that of equal counts the earlier file ranks higher.
        heapq.heappush(self._top, (len(file.violations), -self.sections, file.path))
        if len(self._top) > MAX_TOP_FILES:
            heapq.heappop(self._top)


def has_section(file: FileReport) -> bool:
    """True when the page has something to show of the file: violations, or the engine's words."""
    linted = file.outcome in (Outcome.CLEAN, Outcome.VIOLATIONS)
    return linted and bool(file.violations or file.warnings)


def _unlinted(file: FileReport) -> Unlinted:
    sentence = file.explanation
    if len(sentence) > _MAX_SENTENCE:
        sentence = sentence[:_MAX_SENTENCE] + "…"
    return Unlinted(file.path, str(file.state), str(file.reason or ""), sentence)
