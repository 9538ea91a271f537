"""GitHub workflow commands: printed in a step's log, they become annotations of the commit.

Errors are ``::error``, violations demoted to warnings ``::warning``, violations that the baseline
knows ``::notice``. GitHub shows 10 errors, 10 warnings and 10 notices of a step and 50 annotations
of a job, and keeps the rest in the log only: the SARIF report has no such limit. Columns are given
only for violations within one line, since GitHub drops them otherwise.
"""

from collections.abc import Iterator
from typing import BinaryIO

from pipeline.kinds.sql_lint.reports.characters import visible
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule


def write(report: LintReport, out: BinaryIO) -> None:
    """Write one command a line; memory holds one file at a time."""
    for warning in report.warnings:
        out.write(_command("warning", {"title": "SQLFluff configuration"}, warning))
    if report.stopped:
        out.write(_command("error", {"title": "Quayline"}, report.stopped))
    for file in report.files():
        for line in commands(file):
            out.write(line)


def commands(file: FileReport) -> Iterator[bytes]:
    """Yield the commands of one file."""
    if file.outcome in (Outcome.NOT_LINTED, Outcome.SKIPPED):
        level = "error" if file.outcome is Outcome.NOT_LINTED else "notice"
        title = "Not linted" if file.outcome is Outcome.NOT_LINTED else "Skipped"
        yield _command(level, {"file": file.path, "title": title}, file.explanation)
    for warning in file.warnings:
        yield _command("warning", {"file": file.path, "title": "SQLFluff"}, warning)
    for index, violation in enumerate(file.violations):
        region, rule = Region.of(violation), Rule.of(violation)
        place: dict[str, object] = {"file": file.path, "line": region.line}
        if region.end_line in (None, region.line):
            place["col"] = region.column
        if region.end_line is not None:
            place["endLine"] = region.end_line
        if region.end_line == region.line:
            place["endColumn"] = region.end_column
        place["title"] = f"SQLFluff {rule.code}"
        name = f" [{rule.name}]" if rule.name else ""
        level = "warning" if violation.get("warning") else "error"
        if not file.is_new(index):
            level = "notice"
        yield _command(level, place, f"{rule.code}: {violation.get('description') or ''}{name}")


def _command(level: str, properties: dict[str, object], message: str) -> bytes:
    fields = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {fields}::{_data(message)}\n".encode()


def _data(text: object) -> str:
    # Line ends first: `visible` would show a carriage return as an escape of its own.
    parts = str(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return visible(parts)


def _property(text: object) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
