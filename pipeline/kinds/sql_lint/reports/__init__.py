"""Reports of a lint job: one module per format, all streaming, none importing SQLFluff."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.kinds.sql_lint.reports import (
    csv_report,
    diff,
    fixed,
    github,
    gitlab,
    html_report,
    json_report,
    junit,
    sarif,
    text,
)
from pipeline.kinds.sql_lint.reports.model import FileReport, Format, LintReport, Outcome

__all__ = ["FORMATS", "FileReport", "Format", "LintReport", "Outcome"]

# By the name that `--format` and `reports=` take.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format("json", "application/json", ".json", json_report.write),
            Format("sarif", "application/sarif+json", ".sarif", sarif.write),
            Format("junit", "application/xml", ".junit.xml", junit.write),
            Format("gitlab", "application/json", ".gitlab.json", gitlab.write),
            Format("github", "text/plain; charset=utf-8", ".github.txt", github.write),
            Format("csv", "text/csv; charset=utf-8", ".csv", csv_report.write),
            Format("text", "text/plain; charset=utf-8", ".txt", text.write),
            Format("html", "text/html; charset=utf-8", ".html", html_report.write),
            Format("fixed", "application/zip", ".fixed.zip", fixed.write),
            Format("diff", "text/x-diff", ".diff", diff.write),
        )
    }
)
