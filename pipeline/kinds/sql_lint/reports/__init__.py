"""Reports of a lint job: one module per format, all streaming, none importing SQLFluff."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.kinds.sql_lint.reports import json_report, sarif
from pipeline.kinds.sql_lint.reports.model import FileReport, Format, LintReport, Outcome

__all__ = ["FORMATS", "FileReport", "Format", "LintReport", "Outcome"]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format("json", "application/json", ".json", json_report.write),
            Format("sarif", "application/sarif+json", ".sarif", sarif.write),
        )
    }
)
