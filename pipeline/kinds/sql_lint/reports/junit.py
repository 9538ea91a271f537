"""JUnit XML (the xunit2 dialect of Jenkins, GitLab and pytest): a test case a file.

A case fails by the violations that fail the gate (all errors when the gate is off); other
violations are its output. A file that failed or timed out is an error, one that was cancelled or
never meant to be linted is skipped. Times per file are not known. The stream is read twice: a suite
states its counts before its cases.
"""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

from pipeline.kinds.sql_lint.gate import FailOn, blocking
from pipeline.kinds.sql_lint.reports.characters import one_line, visible
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule
from pipeline.states import TaskState


def write(report: LintReport, out: BinaryIO) -> None:
    """Write one suite; memory holds one file at a time."""
    mode = FailOn.parse(report.fail_on)
    counts: Counter[str] = Counter()
    for file in _cases(report):
        counts.update(("tests", _verdict(file, mode)))
    numbers = {key: counts[key] for key in ("tests", "failures", "errors")}
    whole = {"name": "quayline", **numbers, "time": f"{report.duration_s or 0:.3f}"}
    suite = {**whole, "name": "sqlfluff", "skipped": counts["skipped"]}
    started = report.moment("started_at")
    if started is not None:
        suite["timestamp"] = started.strftime("%Y-%m-%dT%H:%M:%S")
    out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(f"<testsuites{_attributes(whole)}>\n<testsuite{_attributes(suite)}>\n".encode())
    for file in _cases(report):
        out.write(case(file, mode).encode())
    if report.warnings:
        text = "\n".join(one_line(warning) for warning in report.warnings)
        out.write(f"<system-err>{escape(text)}</system-err>\n".encode())
    out.write(b"</testsuite>\n</testsuites>\n")


def _cases(report: LintReport) -> Iterator[FileReport]:
    """Yield the files, after the job itself when it came to nothing as a whole."""
    if report.stopped:
        yield FileReport("the job", TaskState.FAILED, message=report.stopped)
    yield from report.files()


def case(file: FileReport, mode: FailOn) -> str:
    """Return the test case of one file."""
    folder = file.path.rpartition("/")[0].replace(".", "_").replace("/", ".")
    head = _attributes({"name": file.path, "classname": f"sqlfluff.{folder}".rstrip(".")})
    body = "".join(_parts(file, mode))
    return f"<testcase{head}>{body}</testcase>\n" if body else f"<testcase{head}/>\n"


def _verdict(file: FileReport, mode: FailOn) -> str:
    if file.outcome is Outcome.NOT_LINTED:
        closed = file.state not in (TaskState.CANCELLED, TaskState.PENDING, TaskState.RUNNING)
        return "errors" if closed else "skipped"
    if file.outcome is Outcome.SKIPPED:
        return "skipped"
    return "failures" if _failing(file, mode) else "passed"


def _failing(file: FileReport, mode: FailOn) -> frozenset[int]:
    return blocking(FailOn.ANY if mode is FailOn.NONE else mode, file)


def _parts(file: FileReport, mode: FailOn) -> list[str]:
    verdict = _verdict(file, mode)
    why = _attributes({"type": str(file.reason or file.state), "message": file.explanation})
    if verdict == "skipped":
        return [f"<skipped{why}/>"]
    if verdict == "errors":
        return [f"<error{why}/>"]
    parts, failing = [], _failing(file, mode)
    said = [_line(violation) for violation in file.violations]
    if failing:
        noun = "violation" if len(failing) == 1 else "violations"
        head = _attributes({"type": "violations", "message": f"{len(failing)} {noun}"})
        text = "\n".join(said[index] for index in sorted(failing))
        parts.append(f"<failure{head}>{escape(text)}</failure>")
    rest = [text for index, text in enumerate(said) if index not in failing]
    rest += [one_line(warning) for warning in file.warnings]
    if rest:
        text = "\n".join(rest)
        parts.append(f"<system-out>{escape(text)}</system-out>")
    return parts


def _line(violation: dict[str, object]) -> str:
    region, rule = Region.of(violation), Rule.of(violation)
    name = f" [{rule.name}]" if rule.name else ""
    severity = "WARNING: " if violation.get("warning") else ""
    text = f"{region.line}:{region.column} {rule.code} {severity}{violation.get('description')}"
    return one_line(text + name)


def _attributes(values: dict[str, object]) -> str:
    return "".join(f" {key}={quoteattr(visible(value))}" for key, value in values.items())
