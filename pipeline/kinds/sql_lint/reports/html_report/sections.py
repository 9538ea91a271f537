"""The files of the page: one collapsible section each, until the page has shown enough."""

from collections.abc import Iterator

from pipeline.kinds.sql_lint.reports.html_report.excerpt import excerpt
from pipeline.kinds.sql_lint.reports.html_report.markup import amount, number, path, short, text
from pipeline.kinds.sql_lint.reports.model import FileReport, LintReport, Outcome
from pipeline.kinds.sql_lint.reports.rules import Rule
from pipeline.kinds.sql_lint.reports.summary import MAX_LISTED, Summary, has_section

# A page of these sizes stays below some ten megabytes and opens at once.
MAX_SECTIONS = 10_000
MAX_VIOLATIONS = 10_000
MAX_VIOLATIONS_OF_A_FILE = 100
_MAX_WARNINGS_OF_A_FILE = 20
# So few files are worth unfolding at once.
_OPEN_UP_TO = 3


def sections(report: LintReport, summary: Summary) -> Iterator[str]:
    """Yield the sections of files with violations, in the order of the archive."""
    if not summary.sections:
        return
    yield '<section id="files" aria-labelledby="files-title"><h2 id="files-title">Files</h2>'
    yield from _caps(summary)
    left = MAX_VIOLATIONS
    opened = summary.sections <= _OPEN_UP_TO
    place = 0
    for file in report.files():
        if not has_section(file):
            continue
        if place == MAX_SECTIONS:
            break
        shown = min(len(file.violations), MAX_VIOLATIONS_OF_A_FILE, left)
        left -= shown
        yield from _section(file, place, shown, opened=opened)
        place += 1
    yield '<p id="nothing" class="quiet" hidden>No file matches the filter.</p></section>'


def _caps(summary: Summary) -> Iterator[str]:
    total = summary.tally.counts["total"]
    if total > MAX_VIOLATIONS:
        yield (
            f'<p class="cap">This page shows at most {number(MAX_VIOLATIONS)} of the '
            f"{number(total)} violations with their source. The JSON report has all.</p>"
        )
    if summary.sections > MAX_SECTIONS:
        yield (
            f'<p class="cap">This page lists the first {number(MAX_SECTIONS)} of '
            f"{number(summary.sections)} files. The JSON report has all.</p>"
        )


def _section(file: FileReport, place: int, shown: int, *, opened: bool) -> Iterator[str]:
    violations = file.violations
    warnings = sum(bool(violation.get("warning")) for violation in violations)
    codes = [short(code, 40) for code in dict.fromkeys(Rule.of(each).code for each in violations)]
    severities = [name for name, some in _severities(len(violations), warnings) if some]
    new = len(violations) if file.new is None else len(file.new)
    cut = ' data-cut="1"' if shown < len(violations) else ""
    yield (
        f'<details class="file" id="f{place}" data-r="{" ".join(codes)}" '
        f'data-s="{" ".join(severities)}" data-n="{new}"{cut}{" open" if opened else ""}>'
        f"<summary>{path(file.path)}<span class='badges'>{_badges(file, warnings)}</span></summary>"
    )
    for warning in file.warnings[:_MAX_WARNINGS_OF_A_FILE]:
        yield f'<p class="say">{short(warning, 1000)}</p>'
    if shown:
        yield from excerpt(file, shown)
    if shown < len(violations):
        first = f"the first {number(shown)} of " if shown else "none of "
        yield (
            f'<p class="cap">Showing {first}{amount(len(violations), "violation")} of this '
            "file; the JSON report has all.</p>"
        )
    yield "</details>\n"


def _severities(total: int, warnings: int) -> list[tuple[str, int]]:
    return [("error", total - warnings), ("warning", warnings)]


def _badges(file: FileReport, warnings: int) -> str:
    total = len(file.violations)
    parts = []
    if total - warnings:
        parts.append(f'<span class="badge e">{amount(total - warnings, "error")}</span>')
    if warnings:
        parts.append(f'<span class="badge w">{amount(warnings, "warning")}</span>')
    if not total:
        parts.append('<span class="badge o">clean</span>')
    if file.new:
        parts.append(f'<span class="badge n">{number(len(file.new))} new</span>')
    if file.cached:
        parts.append('<span class="badge">cached</span>')
    return "".join(parts)


def unlinted(summary: Summary) -> Iterator[str]:
    """Yield the files that have no result, with the reason of each."""
    titles = {Outcome.NOT_LINTED: "Not linted", Outcome.SKIPPED: "Skipped"}
    for outcome, title in titles.items():
        entries = summary.unlinted.get(outcome)
        if not entries:
            continue
        total = summary.tally.counts[str(outcome)]
        yield f'<section id="{outcome}"><h2>{title} <span class="of">{number(total)}</span></h2>'
        yield '<ul class="unlinted">'
        for entry in entries:
            words = dict.fromkeys(filter(None, (entry.state, entry.reason)))
            why = text(" · ".join(words).replace("_", " "))
            yield (
                f'<li class="{outcome}">{path(entry.path)} <span class="badge">{why}</span>'
                f"<p>{text(entry.sentence)}</p></li>"
            )
        yield "</ul>"
        yield _more(total, len(entries)) + "</section>"


def clean(summary: Summary) -> Iterator[str]:
    """Yield the names of clean files, folded away."""
    total = summary.tally.counts["clean"] - _clean_with_section(summary)
    if not summary.clean:
        return
    yield '<section id="clean"><h2>Clean files</h2><details class="names"><summary>'
    yield f"{amount(total, 'file')} without violations</summary><ul>"
    for name in summary.clean:
        yield f"<li>{path(name)}</li>"
    yield "</ul>" + _more(total, len(summary.clean)) + "</details></section>"


def _clean_with_section(summary: Summary) -> int:
    return summary.sections - summary.tally.counts["violations"]


def _more(total: int, listed: int) -> str:
    if total <= listed:
        return ""
    return (
        f'<p class="cap">Showing the first {number(MAX_LISTED)} of {number(total)}; '
        "the JSON report has all.</p>"
    )
