"""The head of the page: verdict, figures, job facts, warnings, charts and the filter."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.kinds.sql_lint.gate import FailOn, Verdict
from pipeline.kinds.sql_lint.reports.html_report.markup import (
    amount,
    bar,
    duration,
    number,
    path,
    short,
    text,
)
from pipeline.kinds.sql_lint.reports.html_report.sections import MAX_SECTIONS
from pipeline.kinds.sql_lint.reports.model import LintReport
from pipeline.kinds.sql_lint.reports.summary import RuleCount, Summary

MAX_FACT = 300
_MAX_WARNINGS = 100
_SHOWN_RULES = 12
_MAX_RULES = 300
_SHOWN_FOLDERS = 8
_TICK = '<path d="M5 12.5l4.5 4.5L19 7.5"/>'
_CROSS = '<path d="M7 7l10 10M17 7L7 17"/>'
_MEANINGS = {
    FailOn.NONE: "This gate never fails.",
    FailOn.ANY: "It fails on any violation that is not demoted to a warning.",
    FailOn.ERROR: "It fails on any violation of severity error.",
    FailOn.WARNING: "It fails on any violation, warnings too.",
    FailOn.NEW: "It fails on violations that the baseline does not know.",
}


def banner(report: LintReport, verdict: Verdict) -> Iterator[str]:
    """Yield the verdict and its reasons."""
    word, icon = ("failed", _CROSS) if verdict.failed else ("passed", _TICK)
    yield (
        f'<div class="verdict {word}"><svg viewBox="0 0 24 24" aria-hidden="true">{icon}</svg>'
        f"<div><h1>Gate {word}</h1>"
        f"<p>Fail on <b>{text(verdict.fail_on)}</b>. {_MEANINGS[verdict.fail_on]}</p>"
    )
    if verdict.reasons:
        yield "<ul>" + "".join(f"<li>{text(reason)}</li>" for reason in verdict.reasons) + "</ul>"
    yield "</div></div>"


def figures(report: LintReport, summary: Summary, verdict: Verdict) -> Iterator[str]:
    """Yield how the files ended, as one bar, and the tiles."""
    counts = verdict.counts
    yield '<section aria-labelledby="figures-title"><h2 id="figures-title">Summary</h2>'
    yield from _outcomes(counts)
    yield '<dl class="tiles">'
    for label, value, kind, note in _tiles(report, summary, counts):
        small = f"<small>{note}</small>" if note else ""
        yield f'<div class="{kind}"><dt>{label}</dt><dd>{value}{small}</dd></div>'
    yield "</dl></section>"


def _tiles(
    report: LintReport, summary: Summary, counts: Mapping[str, int]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield (label, value, colour, note) of each figure."""
    yield "Files", number(counts["files"]), "", ""
    yield "Clean", number(counts["clean"]), "o" if counts["clean"] else "", ""
    yield "With violations", number(counts["with_violations"]), "", ""
    yield "Not linted", number(counts["not_linted"]), "e" if counts["not_linted"] else "", ""
    severities = f"{amount(counts['errors'], 'error')}, {amount(counts['warnings'], 'warning')}"
    yield "Violations", number(counts["violations"]), "", severities if counts["violations"] else ""
    if summary.tally.compared:
        yield "New", number(counts["new"]), "n" if counts["new"] else "", "not in the baseline"
    yield "Fixable", number(counts["fixable"]), "", ""
    yield "Cached", number(counts["cached"]), "", ""
    seconds = report.duration_s
    rate = f"{counts['files'] / seconds:,.1f} files/s" if seconds and counts["files"] else ""
    yield "Duration", duration(seconds), "", rate


def _outcomes(counts: Mapping[str, int]) -> Iterator[str]:
    total = counts["files"]
    if not total:
        yield '<p class="quiet">The job had no file to lint.</p>'
        return
    kinds = [
        ("clean", counts["clean"], "o"),
        ("with violations", counts["with_violations"], "v"),
        ("not linted", counts["not_linted"], "e"),
        ("skipped", counts["skipped"], "s"),
    ]
    present = [kind for kind in kinds if kind[1]]
    yield '<div class="stack" aria-hidden="true">'
    yield "".join(bar(count / total, kind) for _, count, kind in present) + "</div>"
    yield '<ul class="legend">'
    for label, count, kind in present:
        yield f'<li class="{kind}">{number(count)} {label} ({_percent(count / total)})</li>'
    yield "</ul>"


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def facts(report: LintReport) -> Iterator[str]:
    """Yield what is known about the job itself."""
    job = report.job
    keys = ("source", "state", "dialect", "engine")
    rows = [("Job", job.get("id")), *((key.capitalize(), job.get(key)) for key in keys)]
    for label, key in (("Submitted", "created_at"), ("Finished", "finished_at")):
        moment = report.moment(key)
        rows.append((label, moment and f"{moment:%Y-%m-%d %H:%M:%S %Z}"))
    yield '<section aria-labelledby="job-title"><h2 id="job-title">Job</h2><dl class="facts">'
    for label, value in rows:
        if value not in (None, ""):
            yield f"<div><dt>{label}</dt><dd>{short(value, MAX_FACT)}</dd></div>"
    yield "</dl>"
    yield from _parameters(job.get("parameters") or {})
    yield "</section>"


def _parameters(parameters: Mapping[str, Any]) -> Iterator[str]:
    said = [(key, value) for key, value in parameters.items() if value not in (None, "", [], {})]
    if not said:
        return
    yield '<details class="names"><summary>Parameters</summary><dl class="facts">'
    for key, value in said:
        listed = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        yield f"<div><dt>{short(key, 60)}</dt><dd>{short(listed, MAX_FACT)}</dd></div>"
    yield "</dl></details>"


def warnings(report: LintReport) -> Iterator[str]:
    """Yield what is to be said about the job as a whole, such as refused configuration keys."""
    said = report.warnings
    if not said:
        return
    yield '<section class="warnings"><h2>Warnings <span class="of">'
    yield f"{number(len(said))}</span></h2><ul>"
    yield "".join(f"<li>{short(warning, 1000)}</li>" for warning in said[:_MAX_WARNINGS])
    yield "</ul>"
    if len(said) > _MAX_WARNINGS:
        yield f'<p class="cap">Showing the first {_MAX_WARNINGS}; the JSON report has all.</p>'
    yield "</section>"


def charts(summary: Summary) -> Iterator[str]:
    """Yield violations by rule, by folder and by file, as bars with their numbers."""
    rules = summary.top_rules()
    if not rules:
        return
    yield '<div class="charts"><section aria-labelledby="rules-title">'
    yield '<h2 id="rules-title">By rule</h2><p class="key"><span class="e">error</span> '
    yield '<span class="w">warning</span></p>'
    widest = rules[0].total
    yield from _folded([_rule(count, widest) for count in rules[:_MAX_RULES]], _SHOWN_RULES)
    yield '</section><section aria-labelledby="places-title">'
    yield '<h2 id="places-title">By folder and file</h2>'
    folders = summary.top_folders()
    if len(folders) > 1:
        widest = folders[0][1]
        rows = [
            f'<li><span class="what">{_folder(folder)}</span>'
            f'<span class="bar">{bar(count / widest, "v")}</span>'
            f'<span class="many">{number(count)} <small>in {amount(files, "file")}</small></span>'
            "</li>"
            for folder, count, files in folders[:_SHOWN_FOLDERS]
        ]
        yield f"<h3>{_top(len(rows), len(folders), 'folder')}</h3>"
        yield '<ol class="bars wide">' + "".join(rows) + "</ol>"
    files = summary.top_files()
    widest = files[0][1]
    yield f"<h3>{_top(len(files), summary.tally.counts['violations'], 'file')}</h3>"
    yield '<ol class="bars">'
    for name, count, section in files:
        label = path(name)
        if section < MAX_SECTIONS:
            label = f'<a href="#f{section}">{label}</a>'
        yield f'<li><span class="what">{label}</span><span class="bar">{bar(count / widest, "v")}'
        yield f'</span><span class="many">{number(count)}</span></li>'
    yield "</ol></section></div>"


def _folded(rows: list[str], shown: int) -> Iterator[str]:
    yield '<ol class="bars">' + "".join(rows[:shown]) + "</ol>"
    if len(rows) > shown:
        yield f'<details class="names"><summary>{amount(len(rows) - shown, "more rule")}</summary>'
        yield '<ol class="bars">' + "".join(rows[shown:]) + "</ol></details>"


def _rule(count: RuleCount, widest: int) -> str:
    code = short(count.rule.code, 40)
    name = short(count.rule.name, 80)
    return (
        f'<li><button type="button" class="what" data-pick="{code}" '
        f'title="Show only {code}"><b>{code}</b> <span>{name}</span></button>'
        f'<span class="bar">{bar(count.errors / widest, "e")}{bar(count.warnings / widest, "w")}'
        f'</span><span class="many">{number(count.total)}</span></li>'
    )


def _folder(folder: str) -> str:
    return short(folder or ".", 300).replace("/", "/<wbr>")


def _top(shown: int, total: int, noun: str) -> str:
    return f"{amount(total, noun)}" if shown >= total else f"Top {shown} of {amount(total, noun)}"


def controls(summary: Summary) -> Iterator[str]:
    """Yield the filter; hidden until the script runs, as it does nothing without."""
    if not summary.sections:
        return
    rules = "".join(
        f'<option value="{short(count.rule.code, 40)}">{short(count.rule.code, 40)} '
        f"({number(count.total)})</option>"
        for count in sorted(summary.rules.values(), key=lambda each: each.rule.code)[:_MAX_RULES]
    )
    new = '<label class="tick"><input type="checkbox" id="new"> New only</label>'
    yield (
        '<form id="filter" role="search" hidden>'
        '<label>Filter <input type="search" id="text" placeholder="path or message" '
        'autocomplete="off" spellcheck="false"></label>'
        f'<label>Rule <select id="rule"><option value="">all</option>{rules}</select></label>'
        '<label>Severity <select id="severity"><option value="">all</option>'
        '<option value="error">errors</option><option value="warning">warnings</option></select>'
        f"</label>{new if summary.tally.compared else ''}"
        '<span class="buttons"><button type="button" id="unfold">Unfold all</button>'
        '<button type="button" id="fold">Fold all</button>'
        '<button type="reset">Clear</button></span>'
        '<output id="shown" role="status"></output></form>'
    )
