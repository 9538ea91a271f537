"""GitLab Code Quality: the JSON list that merge requests compare by fingerprint.

GitLab itself tells new from known by comparing with the target branch, so a baseline changes
nothing here. A file that was not linted is a blocker on its first line. Fingerprints do not depend
on line numbers and are unique in the report.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.kinds.sql_lint.gate import fingerprints
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome, as_json
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import STEPS, Rule


def write(report: LintReport, out: BinaryIO) -> None:
    """Write one issue a line; memory holds one file at a time."""
    separator = b"\n"
    out.write(b"[")
    for issue in _all(report):
        out.write(separator + as_json(issue).encode())
        separator = b",\n"
    out.write(b"\n]\n")


def _all(report: LintReport) -> Iterator[dict[str, Any]]:
    if report.stopped:
        # GitLab asks for a path; this stands for all of what was submitted.
        yield from issues(FileReport(".", str(report.job["state"]), message=report.stopped))
    for file in report.files():
        yield from issues(file)


def issues(file: FileReport) -> Iterator[dict[str, Any]]:
    """Yield the issues of one file."""
    if file.outcome is Outcome.NOT_LINTED:
        code = f"quayline/{file.reason or file.state}"
        fingerprint = next(fingerprints(_only(file, {"code": code})))[0]
        yield _issue(file, code, file.explanation, "blocker", fingerprint, Region(1, 1, None, None))
    pairs = zip(fingerprints(file), file.violations, strict=True)
    for (fingerprint, occurrence), violation in pairs:
        rule = Rule.of(violation)
        description = f"{rule.code}: {violation.get('description') or rule.name}"
        identity = f"{fingerprint}{occurrence:x}"
        region = Region.of(violation)
        yield _issue(file, rule.code, description, _severity(violation), identity, region)


def _only(file: FileReport, violation: dict[str, Any]) -> FileReport:
    return FileReport(file.path, file.state, result={"violations": [violation]})


def _severity(violation: dict[str, Any]) -> str:
    if violation.get("warning"):
        return "minor"
    return "critical" if violation.get("code") in STEPS else "major"


def _issue(
    file: FileReport, code: str, text: str, severity: str, fingerprint: str, region: Region
) -> dict[str, Any]:
    lines = {"begin": region.line}
    if region.end_line is not None:
        lines["end"] = region.end_line
    return {
        "description": text,
        "check_name": code,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": file.path, "lines": lines},
    }
