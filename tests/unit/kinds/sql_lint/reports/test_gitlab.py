"""GitLab Code Quality: the fields GitLab needs, and fingerprints it can follow."""

import json

from tests.unit.kinds.sql_lint.reports import kit


def issues_of(report):
    return json.loads(kit.written("gitlab", report))


def test_issue_has_the_fields_that_gitlab_reads():
    issues = issues_of(kit.small())
    assert issues[0] == {
        "description": "CP01: CP01 was broken.",
        "check_name": "CP01",
        "fingerprint": issues[0]["fingerprint"],
        "severity": "major",
        "location": {"path": "models/orders.sql", "lines": {"begin": 1, "end": 1}},
    }
    assert [issue["severity"] for issue in issues] == ["major", "minor", "major"] + ["blocker"] * 3
    assert issues[3]["check_name"] == "quayline/time_limit"
    assert issues[3]["description"] == "It took longer than 60 s."


def test_fingerprints_are_unique_and_do_not_depend_on_line_numbers():
    text = {"1": "select  1", "2": "select  1", "8": "select  1", "9": "select  1"}
    before = kit.linted("a.sql", kit.violation(line=1), kit.violation(line=2), lines=text)
    after = kit.linted("a.sql", kit.violation(line=8), kit.violation(line=9), lines=text)
    prints = [issue["fingerprint"] for issue in issues_of(kit.report([before]))]
    assert len(set(prints)) == 2
    assert prints == [issue["fingerprint"] for issue in issues_of(kit.report([after]))]


def test_error_before_the_rules_is_critical():
    (issue,) = issues_of(kit.report([kit.linted("a.sql", kit.violation("PRS", name=""))]))
    assert issue["severity"] == "critical"


def test_hostile_texts_are_kept_as_json():
    report = kit.hostile()
    assert issues_of(report)[0]["location"]["path"] == next(iter(report.files())).path
