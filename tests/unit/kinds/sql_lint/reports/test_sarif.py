"""SARIF: valid by the schema of the standard, and saying what a code scanner needs."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.kinds.sql_lint.reports import LintReport
from tests.unit.kinds.sql_lint.reports import kit

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(
    SCHEMA, format_checker=jsonschema.FormatChecker()
)


def run_of(report: LintReport) -> dict[str, Any]:
    document = json.loads(kit.written("sarif", report))
    VALIDATOR.validate(document)
    (run,) = document["runs"]
    return run


@pytest.mark.parametrize(
    "report",
    [
        kit.small(),
        kit.hostile(),
        kit.report(),
        kit.report([kit.failed("a.sql"), kit.crashed("b.sql")]),
        kit.report(state="failed", message="It is not an archive."),
        LintReport({}, lambda: iter(())),
    ],
    ids=["small", "hostile", "empty", "all failed", "refused", "no facts"],
)
def test_every_document_is_valid_by_the_standards_schema(report):
    run_of(report)


def test_result_names_its_rule_place_and_level():
    run = run_of(kit.small())
    first, second, third = run["results"]
    assert [result["ruleId"] for result in run["results"]] == ["CP01", "LT01", "LT01"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "error"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert rules[0]["name"] == "capitalisation.keywords"
    assert rules[0]["helpUri"].endswith("/rules.html#rule-CP01")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "models/orders.sql", "uriBaseId": "SRCROOT"}
    assert place["region"] == {"startLine": 1, "startColumn": 15, "endLine": 1, "endColumn": 18}
    assert "fixes" not in second
    (replacement,) = first["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement["insertedContent"] == {"text": "FROM"}
    assert "baselineState" not in third


def test_file_that_was_not_linted_is_a_notification_and_the_run_unsuccessful():
    (invocation,) = run_of(kit.small())["invocations"]
    assert invocation["executionSuccessful"] is False
    notes = invocation["toolExecutionNotifications"]
    assert [note["level"] for note in notes] == ["error", "error", "error", "note"]
    assert notes[0]["message"]["text"] == "It took longer than 60 s."
    uris = [n["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for n in notes]
    assert uris[:2] == ["slow%20query.sql", "data/%E6%95%B0%E6%8D%AE.sql"]
    assert "refused" in invocation["toolConfigurationNotifications"][0]["message"]["text"]


def test_fingerprint_survives_a_moved_line_and_tells_equal_violations_apart():
    lines = {"5": "select  1", "9": "select  1"}
    before = kit.report([kit.linted("a.sql", kit.violation(line=5), lines=lines)])
    after = kit.report(
        [kit.linted("a.sql", kit.violation(line=5), kit.violation(line=9), lines=lines)]
    )
    (known,) = [r["partialFingerprints"] for r in run_of(before)["results"]]
    first, second = [r["partialFingerprints"] for r in run_of(after)["results"]]
    assert first == known
    assert second != known


def test_baseline_state_is_said_when_a_baseline_was_given():
    file = kit.linted("a.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
    states = [result["baselineState"] for result in run_of(kit.report([file]))["results"]]
    assert states == ["unchanged", "new"]


def test_violation_without_an_end_has_no_end():
    file = kit.linted("a.sql", kit.violation("TMP", end_line_no=None, end_line_pos=None))
    (result,) = run_of(kit.report([file]))["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "startColumn": 1}
