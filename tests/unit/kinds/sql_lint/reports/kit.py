"""Self-written results in the engine's shape, and jobs made of them."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline.kinds.sql_lint.reports import FORMATS, FileReport, LintReport

HOSTILE = (
    "</script><script>alert(1)</script> ]]> <!-- \x1b[31m\x00\x08\x0b\x7f\x85 & \" ' "
    "\r\n::error::injected\n{path} \u202egnirts\u202c \u2028 \ufffe \ud800 数据 %0A ,:"
)


def violation(code: str = "LT01", line: int = 1, column: int = 1, **fields: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "start_line_no": line,
        "start_line_pos": column,
        "code": code,
        "description": f"{code} was broken.",
        "name": "layout.spacing",
        "warning": False,
        "fixes": [],
        "start_file_pos": 0,
        "end_line_no": line,
        "end_line_pos": column + 3,
        "end_file_pos": 3,
        "fixable": False,
    }
    return {**record, **fields}


def result(*violations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    numbers = {int(v["start_line_no"]) + step for v in violations for step in (-1, 0, 1)}
    record: dict[str, Any] = {
        "violations": list(violations),
        "statistics": {"source_chars": 9, "templated_chars": 9, "segments": 3, "raw_segments": 2},
        "warnings": [],
        "lines": {str(n): f"SELECT col_{n}  FROM tbl" for n in sorted(numbers) if n > 0},
        "encoding": "utf-8",
        "fixed": None,
        "diff": None,
    }
    return {**record, **fields}


def linted(path: str, *violations: dict[str, Any], **fields: Any) -> FileReport:
    own = {key: fields.pop(key) for key in ("cached", "new") if key in fields}
    return FileReport(path, "succeeded", result=result(*violations, **fields), **own)


def failed(path: str, message: str = "It took longer than 60 s.") -> FileReport:
    return FileReport(path, "timed_out", "time_limit", message)


def crashed(path: str) -> FileReport:
    return FileReport(path, "failed", "crashed", "The linter died on this file.")


def cancelled(path: str) -> FileReport:
    return FileReport(path, "cancelled", "cancelled", "The job was cancelled.")


def skipped(path: str) -> FileReport:
    return FileReport(path, "skipped", "unsupported", "An archive inside the archive.")


def job(**fields: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": "0193a5c2-7d1e-7c3a-9b1f-2f60a4d1c0de",
        "state": "succeeded",
        "kind": "sql_lint",
        "dialect": "postgres",
        "created_at": "2026-11-22T10:00:00+00:00",
        "started_at": "2026-11-22T10:00:01+00:00",
        "finished_at": "2026-11-22T10:00:13.500000+00:00",
        "counts": {"total": 3},
        "engine": "sqlfluff 4.5.0 rs 4.5.0 q1",
        "parameters": {"fail_on": "any"},
        "warnings": [],
    }
    return {**facts, **fields}


def report(files: Iterable[FileReport] = (), **fields: Any) -> LintReport:
    kept = list(files)
    return LintReport(job(**fields), lambda: iter(kept))


def streamed(make: Callable[[], Iterator[FileReport]], **fields: Any) -> LintReport:
    return LintReport(job(**fields), make)


def written(name: str, source: LintReport) -> bytes:
    out = io.BytesIO()
    FORMATS[name].write(source, out)
    return out.getvalue()


def small() -> LintReport:
    """One file of every ending, with an error and a warning on one line and one more below."""
    fix = {
        "type": "replace",
        "edit": "FROM",
        "start_line_no": 1,
        "start_line_pos": 15,
        "end_line_no": 1,
        "end_line_pos": 19,
    }
    return report(
        [
            linted(
                "models/orders.sql",
                violation("CP01", 1, 15, name="capitalisation.keywords", fixes=[fix], fixable=True),
                violation("LT01", 1, 13, warning=True),
                violation("LT01", 3, 13),
            ),
            linted("models/clean.sql", cached=True),
            failed("slow query.sql"),
            crashed("data/数据.sql"),
            cancelled("late.sql"),
            skipped("vendor.zip"),
        ],
        state="partial",
        warnings=["templater.jinja.library_path in .sqlfluff was refused: it loads code."],
    )


def hostile() -> LintReport:
    """Every text that a submitter can choose, chosen badly."""
    path = "a/</script>&\"'\u202e %:,数据\x1b\n.sql"
    return report(
        [
            linted(
                path,
                violation(description=HOSTILE, name=HOSTILE),
                violation(code="X<&>]]>\n", description="x" * 10_000, line=2),
                violation(code="TMP", name="", end_line_no=None, end_line_pos=None),
                warnings=[HOSTILE],
                lines={"1": HOSTILE, "2": "y" * 10_000},
            ),
            failed("=cmd|' /C calc'!A0", message=HOSTILE),
        ],
        warnings=[HOSTILE],
        engine=HOSTILE,
        dialect=HOSTILE,
    )
