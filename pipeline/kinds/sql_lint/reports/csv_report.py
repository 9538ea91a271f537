"""CSV (RFC 4180, UTF-8 without a byte order mark): a row a violation, a row a file not linted.

A job that came to nothing as a whole has a row without a path. Spreadsheets run cells that begin
with ``=``, ``+``, ``-``, ``@`` or a tab as formulas, and paths and descriptions are the
submitter's: such cells get a leading apostrophe. Who needs the exact text reads the JSON report.
Control characters are written as escapes.
"""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.kinds.sql_lint.reports.characters import visible
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule

COLUMNS = (
    "path",
    "state",
    "reason",
    "line",
    "column",
    "end_line",
    "end_column",
    "code",
    "name",
    "severity",
    "fixable",
    "new",
    "description",
)
# The full-width forms are formulas to East Asian editions.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the header and the rows; memory holds one file at a time."""
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer, lineterminator="\r\n")
    table.writerow(COLUMNS)
    if report.stopped:
        whose = ["", _cell(report.job["state"]), _cell(report.job.get("reason") or "")]
        table.writerow([*whose, *[""] * 9, _cell(report.stopped)])
    for file in report.files():
        table.writerows(rows(file))
        out.write(buffer.getvalue().encode())
        buffer.seek(0)
        buffer.truncate()
    out.write(buffer.getvalue().encode())


def rows(file: FileReport) -> Iterator[list[str]]:
    """Yield the rows of one file; a clean one has none."""
    whose = [_cell(file.path), _cell(file.state), _cell(file.reason or "")]
    if file.outcome in (Outcome.NOT_LINTED, Outcome.SKIPPED):
        yield [*whose, *[""] * 9, _cell(file.explanation)]
    for index, violation in enumerate(file.violations):
        region, rule = Region.of(violation), Rule.of(violation)
        yield [
            *whose,
            str(region.line),
            str(region.column),
            "" if region.end_line is None else str(region.end_line),
            "" if region.end_column is None else str(region.end_column),
            _cell(rule.code),
            _cell(rule.name),
            "warning" if violation.get("warning") else "error",
            _yes(violation.get("fixable")),
            "" if file.new is None else _yes(file.is_new(index)),
            _cell(violation.get("description") or ""),
        ]


def _yes(value: object) -> str:
    return "true" if value else "false"


def _cell(text: object) -> str:
    shown = str(text)
    return visible(f"'{shown}" if shown.startswith(_FORMULA) else shown)
