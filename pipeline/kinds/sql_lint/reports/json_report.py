"""JSON: SQLFluff's ``--format json`` records under ``files``, the job's facts under ``job``.

A file has SQLFluff's filepath, violations, statistics and timings (always empty: they are not part
of a result that may come from the cache), and state, reason, message, cached, warnings, encoding;
``new`` lists the indexes of violations outside the baseline when one was given. One file a line.
"""

from typing import Any, BinaryIO

from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, as_json


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the whole report; memory holds one file at a time."""
    out.write(b'{"job": ' + as_json(dict(report.job)).encode() + b',\n"files": [')
    separator = b"\n"
    for file in report.files():
        out.write(separator + as_json(record(file)).encode())
        separator = b",\n"
    out.write(b"\n]}\n")


def record(file: FileReport) -> dict[str, Any]:
    """Return one file as SQLFluff writes it, with our fields after its own."""
    result = file.result or {}
    fields: dict[str, Any] = {
        "filepath": file.path,
        "violations": file.violations,
        "statistics": result.get("statistics") or {},
        "timings": {},
        "state": str(file.state),
        "reason": None if file.reason is None else str(file.reason),
        "message": file.message,
        "cached": file.cached,
        "warnings": file.warnings,
        "encoding": result.get("encoding"),
    }
    if file.new is not None:
        fields["new"] = sorted(file.new)
    return fields
