"""Figures of days over HTTP, for operators."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.core.statistics import Figure, Kept, Part, figures
from tests.integration.web.conftest import Api

STATISTICS = "/api/v1/statistics"
MADE = datetime(2026, 3, 30, 1, tzinfo=UTC)


@pytest.fixture
def five_days(api: Api) -> list[str]:
    """Five days with figures of both parts; returns them, the newest first."""
    told = [date(2026, 3, 1) + timedelta(days=number) for number in range(5)]
    for number, day in enumerate(told):
        system = [Figure("jobs_submitted", number, {"kind": "trivial"}), Figure("job_owners", 1)]
        figures.write(day, Kept(Part.SYSTEM, "UTC", True, MADE), system)
        access = [Figure("access_requests", number * 10.5)]
        figures.write(day, Kept(Part.ACCESS, "UTC", number < 4, MADE), access)
    return [day.isoformat() for day in reversed(told)]


MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


def test_operator_leafs_through_days(api: Api, five_days: list[str]) -> None:
    client = api.caller("operator")
    first = client.get(STATISTICS, params={**MARCH, "limit": "3"}).json()
    after = {"cursor": first["next_cursor"]}
    rest = client.get(STATISTICS, params={**MARCH, "limit": "3", **after}).json()
    assert [each["day"] for each in first["items"] + rest["items"]] == five_days
    assert rest["next_cursor"] is None


def test_day_tells_its_figures_and_whether_it_is_complete(api: Api, five_days: list[str]) -> None:
    answer = api.caller("operator").get(STATISTICS, params={"from": "2026-03-05", **TO}).json()
    [told] = answer["items"]
    assert told["day"] == "2026-03-05"
    assert [(each["part"], each["complete"]) for each in told["parts"]] == [
        ("access", False),
        ("system", True),
    ]
    assert told["parts"][0]["generated_at"] == "2026-03-30T01:00:00Z"
    assert told["figures"] == [
        {"name": "job_owners", "value": 1.0, "labels": {}},
        {"name": "jobs_submitted", "value": 4.0, "labels": {"kind": "trivial"}},
        {"name": "access_requests", "value": 42.0, "labels": {}},
    ]


TO = {"to": "2026-03-05"}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"name": "job_owners"}, ["job_owners"]),
        ({"part": "access"}, ["access_requests"]),
        ({"name": "no_such_figure"}, []),
    ],
)
def test_figures_of_one_name_or_part(
    api: Api, five_days: list[str], wanted: dict[str, str], names: list[str]
) -> None:
    params = {"from": "2026-03-05", **TO, **wanted}
    [told] = api.caller("operator").get(STATISTICS, params=params).json()["items"]
    assert [each["name"] for each in told["figures"]] == names


def test_days_without_figures_are_not_told(api: Api) -> None:
    assert api.caller("operator").get(STATISTICS).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "yesterday"},
        {"name": "No Name"},
        {"part": "weather"},
        {"limit": "0"},
        {"cursor": "ZGF5czp4"},
        {"cursor": "bGV0dGVyczox"},
    ],
)
def test_what_cannot_be_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.caller("operator").get(STATISTICS, params=params).status_code in (400, 422)


@pytest.mark.parametrize("to", ["0001-01-01", "0001-01-02", "9999-12-31"])
def test_calendar_may_end(api: Api, to: str) -> None:
    assert api.caller("operator").get(STATISTICS, params={"to": to}).status_code == 200


def test_they_are_for_operators(api: Api) -> None:
    assert api.caller("submitter").get(STATISTICS).status_code == 403
