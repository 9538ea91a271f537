"""A file's source lines with the violations marked, each followed by what is wrong with it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any

from pipeline.kinds.sql_lint.reports.html_report.markup import short, text
from pipeline.kinds.sql_lint.reports.model import FileReport
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule

#: Columns from 0, the end not included.
Span = tuple[int, int]

# The engine cuts lines at 240 characters.
MAX_LINE = 240
_MAX_DESCRIPTION = 1000
_WIDE = 30
# Error, warning, known to the baseline: the gravest first.
_KINDS = ("e", "w", "k")


def excerpt(file: FileReport, shown: int) -> Iterator[str]:
    """Yield the HTML of the file's first ``shown`` violations and the lines they stand on."""
    by_line: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for index, violation in enumerate(file.violations[:shown]):
        by_line[Region.of(violation).line].append((index, violation))
    numbers = sorted(_visible_lines(by_line, file.lines))
    yield '<div class="src">'
    for before, number in pairwise([None, *numbers]):
        if before is not None and number is not None and number > before + 1:
            yield '<div class="gap" aria-hidden="true">⋯</div>'
        if number is not None:
            yield from _line(file, number, by_line.get(number, []))
    yield "</div>"


def _visible_lines(by_line: Mapping[int, object], lines: Mapping[str, str]) -> set[int]:
    around = {number + step for number in by_line for step in (-1, 1)}
    return set(by_line) | {number for number in around if str(number) in lines}


def _line(
    file: FileReport, number: int, violations: list[tuple[int, dict[str, Any]]]
) -> Iterator[str]:
    source = file.lines.get(str(number))
    kind = "l hit" if violations else "l"
    if source is not None:
        code = _marked(file, source, violations)
        yield f'<div class="{kind}"><b>{number}</b><code>{code}</code></div>'
    else:
        yield f'<div class="{kind}"><b>{number}</b><code class="none">(no source)</code></div>'
    for index, violation in violations:
        yield _message(file, index, violation)


def _marked(file: FileReport, source: str, violations: list[tuple[int, dict[str, Any]]]) -> str:
    """Return the line with each column marked for the narrowest violation that covers it."""
    shown = source[:MAX_LINE]
    spans = sorted(
        ((_columns(violation, len(shown)), index) for index, violation in violations),
        key=lambda each: each[0][0] - each[0][1],
    )
    parts = []
    for (start, end), owner in _owned([span for span, _ in spans], len(shown) + 1):
        piece = text(shown[start:end])
        if owner is not None:
            piece = _mark(file, piece, owner, [index for span, index in spans if span == owner])
        parts.append(piece)
    cut = '<span class="cut">…</span>' if len(source) >= MAX_LINE else ""
    return "".join(parts) + cut


def _owned(spans: list[Span], length: int) -> Iterator[tuple[Span, Span | None]]:
    """Yield the stretches of a line, each with the last of the spans that covers it."""
    edges = sorted({0, length, *(edge for span in spans for edge in span)})
    owners = [
        ((start, end), next((span for span in reversed(spans) if _covers(span, start, end)), None))
        for start, end in pairwise(edges)
    ]
    for owner, group in groupby(owners, key=lambda owned: owned[1]):
        stretches = [stretch for stretch, _ in group]
        yield (stretches[0][0], stretches[-1][1]), owner


def _covers(span: Span, start: int, end: int) -> bool:
    return span[0] <= start and end <= span[1]


def _mark(file: FileReport, piece: str, span: Span, indexes: list[int]) -> str:
    """Return the piece marked by the gravest of the violations that have exactly this span."""
    found = [file.violations[index] for index in indexes]
    kinds = {_kind(file, index) for index in indexes}
    kind = next(kind for kind in _KINDS if kind in kinds)
    # Over long stretches a background would hide what is marked inside them.
    wide = " wide" if span[1] - span[0] > _WIDE else ""
    codes = short(", ".join(dict.fromkeys(Rule.of(violation).code for violation in found)), 200)
    # What stands behind the end of the line has no character of its own.
    return f'<mark class="{kind}{wide}" title="{codes}">{piece or "&nbsp;"}</mark>'


def _kind(file: FileReport, index: int) -> str:
    if not file.is_new(index):
        return "k"
    return "w" if file.violations[index].get("warning") else "e"


def _columns(violation: dict[str, Any], length: int) -> Span:
    """Return the half-open range of columns, from 0, that the violation has on its first line."""
    region = Region.of(violation)
    start = min(region.column - 1, length)
    if region.end_line is None or region.end_column is None:
        return start, start + 1
    end = region.end_column - 1 if region.end_line == region.line else length
    return start, max(start + 1, min(end, length))


def _message(file: FileReport, index: int, violation: dict[str, Any]) -> str:
    rule, region = Rule.of(violation), Region.of(violation)
    severity = "warning" if violation.get("warning") else "error"
    new = file.new is not None and file.is_new(index)
    notes = [f"column {region.column}"]
    if rule.name:
        notes.append(short(rule.name, 100))
    if violation.get("fixable"):
        notes.append("fixable")
    badge = f'<span class="sev {severity[0]}">{severity}</span>'
    if file.new is not None:
        badge += '<span class="sev n">new</span>' if new else '<span class="sev k">known</span>'
    code = short(rule.code, 40)
    state = "new" if file.is_new(index) else "known"
    return (
        f'<p class="msg {severity[0]} {state}" data-r="{code}" data-s="{severity}">'
        f'<a class="rule" href="{text(rule.help_uri)}" rel="noopener noreferrer">{code}</a>{badge} '
        f"{short(violation.get('description') or '', _MAX_DESCRIPTION)} "
        f'<span class="notes">{" · ".join(notes)}</span></p>'
    )
