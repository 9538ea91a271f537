"""Results of linting, explained."""

from typing import Any

from tests.support.built_in import error, result


def explained(**told: Any) -> dict[str, Any]:
    found: dict[str, Any] = result("sql/explain", "explain", told)
    return found


def test_violations_are_explained_rule_by_rule_in_the_order_of_mending() -> None:
    told = explained(
        violations=[
            {"code": "LT01", "line": 3, "description": "Expected one space."},
            {"code": "AM04", "start_line_no": 1},
            {"code": "PRS", "line_no": 9},
            {"code": "LT01", "line": 4},
        ]
    )
    assert [rule["code"] for rule in told["rules"]] == ["PRS", "LT01", "AM04"]
    assert [rule["turn"] for rule in told["rules"]] == [1, 2, 3]
    assert [text.split()[0] for text in told["order"]] == ["Mend", "Let", "Then"]
    spacing = told["rules"][1]
    assert spacing["name"] == "layout.spacing"
    assert spacing["description"] == "Inappropriate Spacing."
    assert (spacing["count"], spacing["fixable"], spacing["can_fix"]) == (2, 2, True)
    assert spacing["places"] == ["3", "4"]
    assert spacing["explanation"].startswith("This rule checks")
    assert "**Name**" not in spacing["explanation"]
    assert not told["rules"][2]["can_fix"]
    assert (told["violations"], told["fixable"]) == (4, 2)


def test_what_is_told_of_a_violation_goes_before_what_is_known_of_its_rule() -> None:
    told = explained(violations=[{"code": "LT05", "fixable": False}, {"code": "LT05"}])
    [rule] = told["rules"]
    assert (rule["can_fix"], rule["fixable"]) == (True, 1)
    assert told["order"][0].startswith("Then by hand what is left")


def test_files_of_a_report_say_where_it_is() -> None:
    files = [
        {"filepath": "a.sql", "violations": [{"code": "L010", "start_line_no": 2}], "cached": True},
        {"filepath": "b/报表.sql", "violations": [{"code": "CP01", "start_line_no": 1}]},
        {"filepath": "c.sql", "violations": []},
    ]
    [rule] = explained(files=files)["rules"]
    assert (rule["code"], rule["places"]) == ("CP01", ["a.sql:2", "b/报表.sql:1"])


def test_text_of_sql_is_linted_for_it() -> None:
    told = explained(sql="select *  from t\n", dialect="postgres")
    assert {"LT01", "AM04"} <= {rule["code"] for rule in told["rules"]}
    assert explained(sql="SELECT a FROM t\n")["rules"] == []
    assert "PRS" in {rule["code"] for rule in explained(sql="SELECT FROM FROM (\n")["rules"]}


def test_rule_of_nobody_is_told_as_such() -> None:
    [rule] = explained(violations=[{"code": "ZZ99"}])["rules"]
    assert rule["description"] == "SQLFluff has no rule ZZ99 here."


def test_input_that_is_none_is_refused() -> None:
    assert "give violations, files or sql" in error("sql/explain", "explain", {})
    told = {"sql": "SELECT 1", "dialect": "klingon"}
    assert "was not linted" in error("sql/explain", "explain", told)
    assert "input.dialect" in error("sql/explain", "explain", {"sql": "", "dialect": "../x"})
