"""JUnit: what Jenkins' schema allows, counts that agree with the cases, and legal XML."""

import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from tests.unit.kinds.sql_lint.reports import kit

# Of Jenkins' junit-10.xsd, what we write: attributes and children of each element.
ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"testcase", "system-err"},
    ),
    "testcase": ({"name", "classname"}, {"skipped", "error", "failure", "system-out"}),
    "skipped": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "failure": ({"type", "message"}, set()),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}


def suite_of(report):
    root = ET.fromstring(kit.written("junit", report))
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
    (suite,) = root
    endings = Counter(child.tag for case in suite.iter("testcase") for child in case)
    stated = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    assert stated == {
        "tests": len(suite.findall("testcase")),
        "failures": endings["failure"],
        "errors": endings["error"],
        "skipped": endings["skipped"],
    }
    return suite


@pytest.mark.parametrize(
    "report",
    [kit.small(), kit.hostile(), kit.report(), kit.report([kit.failed("a.sql")], started_at=None)],
    ids=["small", "hostile", "empty", "all failed"],
)
def test_document_has_the_schemas_elements_and_true_counts(report):
    suite_of(report)


def test_case_is_a_file_and_says_how_it_ended():
    suite = suite_of(kit.small())
    assert suite.attrib["time"] == "12.500"
    assert suite.attrib["timestamp"] == "2026-11-22T10:00:01"
    cases = {case.attrib["name"]: case for case in suite.iter("testcase")}
    orders = cases["models/orders.sql"]
    assert orders.attrib["classname"] == "sqlfluff.models"
    assert orders.find("failure").attrib["message"] == "2 violations"
    assert orders.find("failure").text == (
        "1:15 CP01 CP01 was broken. [capitalisation.keywords]\n"
        "3:13 LT01 LT01 was broken. [layout.spacing]"
    )
    assert "WARNING: LT01" in orders.find("system-out").text
    assert list(cases["models/clean.sql"]) == []
    assert cases["slow query.sql"].find("error").attrib["type"] == "time_limit"
    assert cases["late.sql"].find("skipped") is not None
    assert "refused" in suite.find("system-err").text


def test_case_fails_by_what_fails_the_gate():
    known = kit.linted("known.sql", kit.violation(), new=frozenset())
    warning = kit.linted("warning.sql", kit.violation(warning=True))
    passed = suite_of(kit.report([known, warning], parameters={"fail_on": "new"}))
    assert passed.attrib["failures"] == "0"
    failed = suite_of(kit.report([known, warning], parameters={"fail_on": "warning"}))
    assert failed.attrib["failures"] == "1"
    off = suite_of(kit.report([kit.linted("a", kit.violation())], parameters={"fail_on": "none"}))
    assert off.attrib["failures"] == "1"


def test_two_files_of_one_name_are_two_cases():
    suite = suite_of(kit.report([kit.linted("a/x.sql"), kit.linted("b/x.sql")]))
    assert len({(c.attrib["name"], c.attrib["classname"]) for c in suite.iter("testcase")}) == 2
