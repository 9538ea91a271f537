"""The parameters of a lint job: closed, bounded, and turned into SQLFluff's own keys."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from pipeline.kinds.sql_lint.gate import FailOn
from pipeline.kinds.sql_lint.reports import FORMATS
from pipeline.kinds.sql_lint.spec import OVERRIDES, LintParameters, ReportName


def test_nothing_told_is_a_lint_as_configured() -> None:
    told = LintParameters()
    assert told.core_overrides() == {}
    assert (told.fix, told.cache, told.fail_on, told.reports) == (
        *(False, True, "any"),
        ["json"],
    )


@pytest.mark.parametrize("key", ["no_such_key", "library_path", "Dialect", "model_config"])
def test_an_unknown_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        LintParameters.model_validate({key: "x"})


@pytest.mark.parametrize(
    "told",
    [
        *({"dialect": each} for each in ("", "a b", "x" * 65, "ansi\n", "../x", 'a"', "ansí")),
        *({"rules": each} for each in ("x" * 2001, "LT01;", "LT01\n", "LT01\0", "$(x)")),
        *({"exclude_rules": each} for each in ("x" * 2001, "[A-Z]", "LT01\n")),
        *({"templater": each} for each in ("dbt", "", "JINJA")),
        *({"config": each} for each in ("x" * (256 * 1024 + 1), b"\xff", 1)),
        {"config_name": "x" * 256},
        {"base_configs": [(".sqlfluff", "")] * 33},
        {"base_configs": [(".sqlfluff", "x" * (1024 * 1024 + 1))]},
        {"base_configs": [("x" * 256, "")]},
        {"base_configs": [(".sqlfluff",)]},
        *({"overrides": {each: 1}} for each in ("dialect", "library_path", "plugins", "")),
        *({"fail_on": each} for each in ("", "all", None)),
        *({"baseline": each} for each in ("", "x" * 64, "A" * 64, "a" * 63, "a" * 65, "../a")),
        *({"reports": each} for each in (["pdf"], ["../json"], "json", ["json"] * 11)),
        *({"fix": each} for each in ("perhaps", 2, None)),
    ],
    ids=lambda told: f"{next(iter(told))}={str(next(iter(told.values())))[:20]!r}",
)
def test_a_value_out_of_bounds_is_refused_by_its_key(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        LintParameters.model_validate(told)
    assert {error["loc"][0] for error in refusal.value.errors()} == set(told)


@pytest.mark.parametrize(
    "told",
    [
        {"dialect": "x" * 64},
        {"rules": "LT01,CP*,aliasing.table,L0?? , LT-1"},
        {"rules": "x" * 2000},
        {"rules": ""},
        {"config": "x" * (256 * 1024)},
        {"base_configs": [(".sqlfluff", "")] * 32},
        {"overrides": dict.fromkeys(OVERRIDES, True)},
        {"baseline": "0123456789abcdef" * 4},
        {"reports": []},
        {"reports": list(FORMATS)},
    ],
    ids=lambda told: next(iter(told)),
)
def test_a_value_at_its_bound_is_taken(told: dict[str, Any]) -> None:
    kept = LintParameters.model_validate(told)
    assert LintParameters.model_validate(kept.model_dump(mode="json")) == kept


def test_parameters_do_not_change() -> None:
    told = LintParameters()
    for name in LintParameters.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(told, name, getattr(told, name))


def test_told_keys_go_over_every_configuration_file() -> None:
    told = LintParameters(
        dialect="ansi", rules="LT01", templater="raw", overrides={"ignore": "parsing"}
    )
    assert told.core_overrides() == {
        **{"dialect": "ansi", "rules": "LT01", "templater": "raw"},
        "ignore": "parsing",
    }


def test_no_rules_is_told_and_unset_rules_are_not() -> None:
    assert LintParameters(rules="").core_overrides() == {"rules": ""}
    assert LintParameters(rules=None).core_overrides() == {}


def test_disable_noqa_is_told_only_when_asked_for() -> None:
    assert LintParameters(disable_noqa=True).core_overrides() == {"disable_noqa": True}
    assert LintParameters(disable_noqa=False).core_overrides() == {}


def test_every_report_and_gate_can_be_asked_for() -> None:
    assert set(get_args(ReportName)) == set(FORMATS)
    for gate in FailOn:
        assert LintParameters.model_validate({"fail_on": gate}).fail_on == gate
