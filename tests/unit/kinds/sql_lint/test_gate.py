"""The gate: what fails a job, and which violations are new."""

import json

import pytest

from pipeline.errors import Refused
from pipeline.kinds.sql_lint import gate
from pipeline.kinds.sql_lint.gate import Baseline, FailOn, Tally, Verdict
from pipeline.kinds.sql_lint.reports import FileReport, LintReport
from tests.unit.kinds.sql_lint.reports import kit

ERROR = kit.linted("error.sql", kit.violation())
WARNING = kit.linted("warning.sql", kit.violation(warning=True))
CLEAN = kit.linted("clean.sql")
KNOWN = kit.linted("known.sql", kit.violation(), new=frozenset())
NEW = kit.linted("new.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
NEW_WARNING = kit.linted("new.sql", kit.violation(warning=True), new=frozenset({0}))


def evaluate(fail_on: str, report: LintReport) -> Verdict:
    tally = Tally()
    for file in report.files():
        tally.add(file)
    return tally.verdict(fail_on, report.stopped)


@pytest.mark.parametrize(
    ("files", "failing"),
    [
        ([], set()),
        ([CLEAN], set()),
        ([ERROR], {"any", "warning", "error", "new"}),
        ([WARNING], {"warning"}),
        ([WARNING, ERROR], {"any", "warning", "error", "new"}),
        ([KNOWN], set()),
        ([NEW], {"any", "warning", "error", "new"}),
        ([NEW_WARNING], {"warning"}),
        ([kit.failed("a.sql")], {"any", "warning", "error", "new"}),
        ([kit.crashed("a.sql")], {"any", "warning", "error", "new"}),
        ([kit.cancelled("a.sql")], {"any", "warning", "error", "new"}),
        ([FileReport("a.sql", "pending")], {"any", "warning", "error", "new"}),
        ([FileReport("a.sql", "succeeded")], {"any", "warning", "error", "new"}),
        ([kit.skipped("a.zip")], set()),
    ],
)
def test_modes_fail_on_what_they_name(files, failing):
    found = {str(mode) for mode in FailOn if evaluate(mode, kit.report(files)).failed}
    assert found == failing


def test_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(Refused, match="none, any, warning, error, new"):
        evaluate("all", kit.report())


def test_verdict_counts_and_says_why():
    verdict = evaluate("any", kit.small())
    assert verdict.failed
    assert verdict.counts == {
        "files": 6,
        "clean": 1,
        "with_violations": 1,
        "not_linted": 3,
        "failed": 1,
        "timed_out": 1,
        "cancelled": 1,
        "open": 0,
        "skipped": 1,
        "cached": 1,
        "violations": 3,
        "errors": 2,
        "warnings": 1,
        "fixable": 1,
        "new": 3,
        "new_errors": 2,
        "new_warnings": 1,
    }
    assert verdict.reasons == [
        "2 violations of severity error.",
        "3 files could not be linted: 1 failed, 1 timed out, 1 cancelled.",
        "1 entry was skipped.",
    ]


def test_passed_verdict_names_what_the_baseline_knew():
    verdict = evaluate("new", kit.report([KNOWN]))
    assert not verdict.failed
    assert verdict.reasons == ["1 violation known by the baseline did not count."]


def test_blocking_are_the_violations_that_fail_the_gate():
    file = kit.linted("a.sql", kit.violation(), kit.violation(warning=True), kit.violation(line=9))
    assert gate.blocking("any", file) == {0, 2}
    assert gate.blocking("warning", file) == {0, 1, 2}
    assert gate.blocking("none", file) == frozenset()


def lines(*texts):
    return {str(number): text for number, text in enumerate(texts, 1)}


def test_moved_and_reindented_violation_is_known():
    before = kit.linted("a.sql", kit.violation(line=1), lines=lines("select  a FROM t"))
    after = kit.linted("a.sql", kit.violation(line=3), lines=lines("", "", "\tselect a   FROM t "))
    assert Baseline.of([before]).new_of(after) == frozenset()


@pytest.mark.parametrize(
    "after",
    [
        kit.linted("b.sql", kit.violation(), lines=lines("select a")),
        kit.linted("a.sql", kit.violation("CP01"), lines=lines("select a")),
        kit.linted("a.sql", kit.violation(), lines=lines("SELECT a")),
        kit.linted("a.sql", kit.violation(), lines=lines("select b")),
    ],
    ids=["other path", "other rule", "other case", "other text"],
)
def test_other_path_rule_or_text_is_new(after):
    before = kit.linted("a.sql", kit.violation(), lines=lines("select a"))
    assert Baseline.of([before]).new_of(after) == {0}


def test_only_more_of_the_same_are_new():
    text = lines("select  1", "select  1", "select  1")
    two = kit.linted("a.sql", kit.violation(line=1), kit.violation(line=2), lines=text)
    three = kit.linted("a.sql", *(kit.violation(line=n) for n in (1, 2, 3)), lines=text)
    assert Baseline.of([two]).new_of(three) == {2}
    assert Baseline.of([three]).new_of(two) == frozenset()


def test_baseline_comes_back_from_its_file_and_is_written_the_same_in_any_order():
    files = list(kit.small().files()) + list(kit.hostile().files())
    baseline = Baseline.of(files)
    data = baseline.to_bytes()
    assert Baseline.from_bytes(data) == baseline
    assert Baseline.of(reversed(files)).to_bytes() == data
    document = json.loads(data)
    assert document["version"] == 1
    paths = [entry["path"] for entry in document["violations"].values()]
    assert paths == sorted(paths)


def test_baseline_of_a_clean_job_is_empty_and_readable():
    assert Baseline.from_bytes(Baseline.of([CLEAN]).to_bytes()) == Baseline({})


KEY = "0" * 32


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[" * 100_000,
        b'{"version": 1, "violations": ' + b'{"a":' * 60_000 + b"1" + b"}" * 60_001,
        b"[]",
        b"null",
        b"{}",
        b'{"version": 2, "violations": {}}',
        b'{"version": true, "violations": {}}',
        b'{"version": 1}',
        b'{"version": 1, "violations": []}',
        b'{"version": 1, "violations": {"short": {"count": 1, "path": "a", "code": "b"}}}',
        f'{{"version": 1, "violations": {{"{KEY}": 3}}}}'.encode(),
        *(
            f'{{"version": 1, "violations": {{"{KEY}": {{"count": {count}, "path": "a", '
            f'"code": "b"}}}}}}'.encode()
            for count in ("0", "-1", "true", "1.5", "1e999", "NaN", '"1"', "9" * 5000)
        ),
        b'{"version": 1, "violations": {"%s": {"count": 1, "path": 1, "code": ""}}}' % KEY.encode(),
        b"[" + b"[]," * 300_000 + b"[]]",
        b" " * (gate.MAX_BASELINE_BYTES + 1),
    ],
)
def test_broken_or_hostile_baseline_is_refused_with_a_sentence(data):
    with pytest.raises(Refused, match=r"^The baseline cannot be used: .+\. Write it anew"):
        Baseline.from_bytes(data)


@pytest.mark.parametrize("state", ["failed", "timed_out", "cancelled"])
def test_job_that_came_to_nothing_fails_the_gate_even_without_files(state):
    report = kit.report(state=state, message="This is not an archive.")
    assert evaluate("any", report).failed
    assert evaluate("any", report).reasons[0].endswith(". This is not an archive.")
    assert not evaluate("none", report).failed
