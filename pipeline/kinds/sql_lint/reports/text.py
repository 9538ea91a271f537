"""Plain text as SQLFluff's own output for people, for terminals and logs; no colours.

Clean files are counted, not listed. A file that was not linted is listed as ERROR, an entry that
was never meant to be as SKIPPED, each with its sentence. With a baseline, violations it does not
know are marked NEW. The last lines are the summary and the gate's verdict.
"""

import textwrap
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.kinds.sql_lint.gate import Tally, Verdict
from pipeline.kinds.sql_lint.reports.characters import one_line
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule

# SQLFluff writes lines of 80 by default, of which 25 go to place and code.
_TEXT_WIDTH = 55
_MARGIN = " " * 23 + "| "
_STATUS = {
    Outcome.VIOLATIONS: "FAIL",
    Outcome.NOT_LINTED: "ERROR",
    Outcome.SKIPPED: "SKIPPED",
}


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the report; memory holds one file at a time."""
    tally = Tally()
    for warning in report.warnings:
        out.write(f"WARNING: {one_line(warning)}\n".encode())
    for file in report.files():
        tally.add(file)
        for line in file_lines(file):
            out.write(line.encode() + b"\n")
    for line in summary_lines(tally.verdict(report.fail_on, report.stopped)):
        out.write(line.encode() + b"\n")


def file_lines(file: FileReport) -> Iterator[str]:
    """Yield the lines of one file; none when it is clean and there is nothing to say."""
    if file.outcome is not Outcome.CLEAN or file.warnings:
        status = _STATUS.get(file.outcome, "PASS")
        if status == "FAIL" and all(v.get("warning") for v in file.violations):
            status = "PASS"  # As SQLFluff says it when only warnings were found.
        yield f"== [{one_line(file.path)}] {status}"
    if file.outcome in (Outcome.NOT_LINTED, Outcome.SKIPPED):
        reason = f" [{file.reason}]" if file.reason else ""
        yield f"{one_line(file.explanation)}{one_line(reason)}"
    for index, violation in enumerate(file.violations):
        region, rule = Region.of(violation), Rule.of(violation)
        text = one_line(violation.get("description") or "")
        if violation.get("warning"):
            text = f"WARNING: {text}"
        if file.new is not None and file.is_new(index):
            text = f"NEW: {text}"
        if violation.get("name"):
            text += f" [{one_line(rule.name)}]"
        head = f"L:{region.line:>4} | P:{region.column:>4} | {one_line(rule.code):>4} | "
        wrapped = textwrap.wrap(
            text, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False
        ) or [""]
        yield head + wrapped[0]
        yield from (_MARGIN + line for line in wrapped[1:])
    for warning in file.warnings:
        yield f"WARNING: {one_line(warning)}"


def summary_lines(verdict: Verdict) -> Iterator[str]:
    """Yield what was counted and what the gate says."""
    counts = verdict.counts
    yield (
        "Files: {files:,} in all, {clean:,} clean, {with_violations:,} with violations, "
        "{not_linted:,} not linted, {skipped:,} skipped; {cached:,} from the cache."
    ).format_map(counts)
    yield (
        "Violations: {violations:,} in all, {errors:,} errors, {warnings:,} warnings; "
        "{fixable:,} fixable."
    ).format_map(counts)
    yield f"Gate (fail on {verdict.fail_on}): {'FAILED' if verdict.failed else 'passed'}."
    yield from (f"  {reason}" for reason in verdict.reasons)
