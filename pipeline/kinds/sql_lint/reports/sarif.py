"""SARIF 2.1.0: for code scanning of GitHub and Azure, and for viewers in editors.

The stream is read twice: first for the rules that were seen and the files that were not linted
(notifications of the invocation), then for the results. Paths are relative URIs under SRCROOT,
the root of what was submitted. Violations that ``noqa`` silenced are not in the result, so
``suppressions`` is never written; with a baseline every result says ``new`` or ``unchanged``.
``primaryLocationLineHash`` is the key by which GitHub follows an alert from run to run.
"""

from typing import Any, BinaryIO
from urllib.parse import quote

from pipeline.kinds.sql_lint.gate import fingerprints
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome, as_json
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import RULES_PAGE, Rule

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "SRCROOT"
# A fix with more edits than this is left to the fixed files; viewers show fixes one by one.
MAX_FIX_EDITS = 50
_LEVELS = {Outcome.NOT_LINTED: "error", Outcome.SKIPPED: "note"}


def write(report: LintReport, out: BinaryIO) -> None:
    """Write one run; memory holds the rules and one file at a time."""
    head = {"$schema": SCHEMA, "version": "2.1.0"}
    out.write(as_json(head)[:-1].encode() + b', "runs": [{\n"invocations": [')
    rules = _write_invocation(report, out)
    indexes = {code: index for index, code in enumerate(rules)}
    out.write(b'],\n"tool": ' + as_json(_tool(report, rules)).encode())
    out.write(b',\n"properties": ' + as_json({"quayline": _facts(report)}).encode())
    root = {ROOT: {"description": {"text": "The root of what was submitted"}}}
    out.write(b',\n"originalUriBaseIds": ' + as_json(root).encode())
    out.write(b',\n"automationDetails": {"id": "quayline/sql_lint/"}')
    out.write(b',\n"columnKind": "unicodeCodePoints",\n"results": [')
    separator = b"\n"
    for file in report.files():
        for result in results(file, indexes):
            out.write(separator + as_json(result).encode())
            separator = b",\n"
    out.write(b"\n]}]}\n")


def results(file: FileReport, indexes: dict[str, int]) -> list[dict[str, Any]]:
    """Return the SARIF results of one file; ``indexes`` places each rule in the driver's list."""
    return [
        _result(file, index, fingerprint, occurrence, indexes)
        for index, (fingerprint, occurrence) in enumerate(fingerprints(file))
    ]


def _write_invocation(report: LintReport, out: BinaryIO) -> dict[str, Rule]:
    """Write the invocation with a notification per file that was not linted; return the rules."""
    rules: dict[str, Rule] = {}
    complete = True
    invocation: dict[str, Any] = {}
    for key, field in (("startTimeUtc", "started_at"), ("endTimeUtc", "finished_at")):
        moment = report.moment(field)
        if moment is not None:
            invocation[key] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    warnings = [{"level": "warning", "message": {"text": text}} for text in report.warnings]
    if report.stopped:
        warnings.append({"level": "error", "message": {"text": report.stopped}})
    invocation["toolConfigurationNotifications"] = warnings
    out.write(as_json(invocation)[:-1].encode() + b', "toolExecutionNotifications": [')
    separator = b"\n"
    for file in report.files():
        for violation in file.violations:
            rule = Rule.of(violation)
            rules.setdefault(rule.code, rule)
        complete = complete and file.outcome is not Outcome.NOT_LINTED
        for notification in _notifications(file):
            out.write(separator + as_json(notification).encode())
            separator = b",\n"
    successful = as_json(complete and report.job.get("state") in (None, "succeeded", "partial"))
    out.write(b'\n], "executionSuccessful": ' + successful.encode() + b"}")
    return dict(sorted(rules.items()))


def _notifications(file: FileReport) -> list[dict[str, Any]]:
    locations = [{"physicalLocation": {"artifactLocation": _artifact(file.path)}}]
    found = [
        {"level": "warning", "message": {"text": text}, "locations": locations}
        for text in file.warnings
    ]
    if file.outcome in _LEVELS:
        found.append(
            {
                "level": _LEVELS[file.outcome],
                "message": {"text": file.explanation},
                "locations": locations,
                "properties": {"state": str(file.state), "reason": str(file.reason or "")},
            }
        )
    return found


def _tool(report: LintReport, rules: dict[str, Rule]) -> dict[str, Any]:
    engine = str(report.job.get("engine") or "")
    driver: dict[str, Any] = {
        "name": "sqlfluff",
        "fullName": f"{engine or 'sqlfluff'} via Quayline",
        "informationUri": RULES_PAGE,
        "rules": [_descriptor(rule) for rule in rules.values()],
    }
    if engine:
        driver["version"] = engine
    return {"driver": driver}


def _descriptor(rule: Rule) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"id": rule.code, "helpUri": rule.help_uri}
    if rule.name:
        descriptor["name"] = rule.name
    descriptor["shortDescription"] = {"text": f"{rule.code} {rule.name}".strip()}
    descriptor["defaultConfiguration"] = {"level": "error"}
    return descriptor


def _facts(report: LintReport) -> dict[str, Any]:
    keys = ("id", "state", "kind", "dialect", "counts")
    return {key: report.job[key] for key in keys if report.job.get(key) is not None}


def _artifact(path: str) -> dict[str, str]:
    return {"uri": quote(path, safe="/", errors="replace"), "uriBaseId": ROOT}


def _result(
    file: FileReport, index: int, fingerprint: str, occurrence: int, indexes: dict[str, int]
) -> dict[str, Any]:
    violation = file.violations[index]
    code = Rule.of(violation).code
    artifact = _artifact(file.path)
    identity = f"{fingerprint}:{occurrence}"
    result: dict[str, Any] = {
        "ruleId": code,
        "ruleIndex": indexes[code],
        "level": "warning" if violation.get("warning") else "error",
        "message": {"text": str(violation.get("description") or code)},
        "locations": [
            {"physicalLocation": {"artifactLocation": artifact, "region": _region(violation)}}
        ],
        "partialFingerprints": {
            "primaryLocationLineHash": identity,
            "quaylineViolation/v1": identity,
        },
    }
    if file.new is not None:
        result["baselineState"] = "new" if file.is_new(index) else "unchanged"
    replacements = _replacements(violation)
    if replacements:
        change = {"artifactLocation": artifact, "replacements": replacements}
        result["fixes"] = [{"artifactChanges": [change]}]
    return result


def _region(violation: dict[str, Any]) -> dict[str, int]:
    region = Region.of(violation)
    start = {"startLine": region.line, "startColumn": region.column}
    if region.end_line is None or region.end_column is None:
        return start
    return {**start, "endLine": region.end_line, "endColumn": region.end_column}


def _replacements(violation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the violation's edits; none when there are many or one does not say where it ends."""
    edits = violation.get("fixes") or []
    if len(edits) > MAX_FIX_EDITS:
        return []
    replacements = []
    for edit in edits:
        region = _region(edit)
        if "endLine" not in region:
            return []
        inserted = {"text": str(edit.get("edit") or "")}
        replacements.append({"deletedRegion": region, "insertedContent": inserted})
    return replacements
