"""The setting that says how long what has ended is kept."""

import pytest

from pipeline.errors import Refused
from pipeline.retention import DAY_S, read
from pipeline.settings import Settings, get_settings


@pytest.mark.parametrize(
    ("told", "name", "days"),
    [
        ("90", "sql_lint", 90),
        ("0.5", "results", 0.5),
        ("0", "sql_lint", None),
        ('{"sql_lint": 30, "*": 7}', "sql_lint", 30),
        ('{"sql_lint": 30, "*": 7}', "container", 7),
        ('{"sql_lint": 30}', "container", None),
        ('{"sql_lint": 0, "*": 7}', "sql_lint", None),
        ("{}", "sql_lint", None),
    ],
)
def test_days_are_those_of_the_name_or_of_all_others(
    told: str, name: str, days: float | None
) -> None:
    assert read(told).seconds(name) == (None if days is None else days * DAY_S)


@pytest.mark.parametrize(
    "told", ["ninety", "-1", "NaN", "Infinity", "true", "[1]", '{"a": "1"}', "1e9", "[" * 100_000]
)
def test_what_is_no_time_is_refused_in_a_sentence(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="number of days"):
        read(told)
    monkeypatch.setenv("QUAYLINE_RETENTION_DAYS", told[:100])
    get_settings.cache_clear()
    with pytest.raises(Refused, match="The setting QUAYLINE_RETENTION_DAYS cannot be used"):
        get_settings()
    get_settings.cache_clear()


def test_ninety_days_are_kept_unless_told() -> None:
    assert Settings().retention_s("sql_lint") == 90 * DAY_S
