"""A file's source lines with the violations marked, each followed by what is wrong with it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any

from pipeline.kinds.sql_lint.reports.html_report.markup import short, text
from pipeline.kinds.sql_lint.reports.model import FileReport
from pipeline.kinds.sql_lint.reports.region import Region
from pipeline.kinds.sql_lint.reports.rules import Rule

# The engine cuts lines at 240 characters.
MAX_LINE = 240
_MAX_DESCRIPTION = 1000
_MARKS = ("", "k", "w", "e")


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
        code = _marked(source, [(_level(file, *item), item[1]) for item in violations])
        yield f'<div class="{kind}"><b>{number}</b><code>{code}</code></div>'
    else:
        yield f'<div class="{kind}"><b>{number}</b><code class="none">(no source)</code></div>'
    for index, violation in violations:
        yield _message(file, index, violation)


def _level(file: FileReport, index: int, violation: dict[str, Any]) -> int:
    if not file.is_new(index):
        return 1
    return 2 if violation.get("warning") else 3


def _marked(source: str, violations: list[tuple[int, dict[str, Any]]]) -> str:
    """Return the line with each column of a violation marked by the gravest one there."""
    shown = source[:MAX_LINE]
    levels = [0] * (len(shown) + 1)
    for level, violation in violations:
        start, end = _columns(violation, len(shown))
        for column in range(start, end):
            levels[column] = max(levels[column], level)
    parts = []
    for level, group in groupby(enumerate(levels), key=lambda pair: pair[1]):
        columns = [column for column, _ in group]
        piece = text(shown[columns[0] : columns[-1] + 1])
        if level:
            # What stands behind the end of the line has no character of its own.
            piece = f'<mark class="{_MARKS[level]}">{piece or "&nbsp;"}</mark>'
        parts.append(piece)
    cut = '<span class="cut">…</span>' if len(source) >= MAX_LINE else ""
    return "".join(parts) + cut


def _columns(violation: dict[str, Any], length: int) -> tuple[int, int]:
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
        f'<p class="v {severity[0]} {state}" data-r="{code}" data-s="{severity}">'
        f'<a class="rule" href="{text(rule.help_uri)}" rel="noopener noreferrer">{code}</a>{badge} '
        f"{short(violation.get('description') or '', _MAX_DESCRIPTION)} "
        f'<span class="notes">{" · ".join(notes)}</span></p>'
    )
