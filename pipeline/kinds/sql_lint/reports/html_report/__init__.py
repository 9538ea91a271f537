"""HTML: one file that needs nothing else, to be opened from a disk, a mail or a build's artifacts.

The page loads nothing: its style and script are inside, and its content security policy allows the
one script by its hash and no connection. All texts of the submitter are escaped. It stays usable
for 10,000 files with 100,000 violations: source is shown up to the limits in ``sections``, then
counted, and the browser lays out only what is on the screen. The stream is read twice.
"""

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from itertools import chain
from typing import BinaryIO

from pipeline.kinds.sql_lint.reports.html_report import page, sections
from pipeline.kinds.sql_lint.reports.html_report.markup import short
from pipeline.kinds.sql_lint.reports.model import LintReport
from pipeline.kinds.sql_lint.reports.summary import Summary

_STYLE = files(__name__).joinpath("page.css").read_text(encoding="utf-8")
_SCRIPT = files(__name__).joinpath("page.js").read_text(encoding="utf-8")
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect "
    "width='16' height='16' rx='4' fill='%231f6f8b'/%3E%3Cpath d='M4 8.5l2.5 2.5L12 5.5' "
    "fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E"
)


def write(report: LintReport, out: BinaryIO) -> None:
    """Write the page; memory holds the summary and one file at a time."""
    for piece in _pieces(report):
        out.write(piece.encode())


def _pieces(report: LintReport) -> Iterator[str]:
    summary = Summary.of(report)
    verdict = summary.tally.verdict(report.fail_on, report.stopped)
    yield from _head("failed" if verdict.failed else "passed")
    yield from _masthead(report)
    yield '<main id="main">'
    yield from chain(
        page.banner(report, verdict),
        page.figures(report, summary, verdict),
        page.facts(report),
        page.warnings(report),
        page.charts(summary),
        sections.unlinted(summary),
        page.controls(summary),
        sections.sections(report, summary),
        sections.clean(summary),
    )
    yield "</main><footer>Written by Quayline. This file needs no network.</footer>"
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _head(verdict: str) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>SQL lint: gate {verdict}</title>"
        f'<link rel="icon" href="{_ICON}"><style>{_STYLE}</style></head><body>'
        '<a class="skip" href="#main">Skip to the report</a>'
    )


def _masthead(report: LintReport) -> Iterator[str]:
    finished = report.moment("finished_at")
    when = f"{finished:%Y-%m-%d %H:%M %Z}" if finished else ""
    said = [report.job.get("source"), report.job.get("dialect"), when]
    parts = [short(part, 120) for part in said if part]
    yield (
        '<header class="mast"><div><svg viewBox="0 0 16 16" aria-hidden="true">'
        '<rect width="16" height="16" rx="4"/><path d="M4 8.5l2.5 2.5L12 5.5"/></svg>'
        f"<b>Quayline</b><span>SQL lint report</span></div><p>{' · '.join(parts)}</p></header>"
    )
