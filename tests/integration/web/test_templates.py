"""Operators make templates; submitters look at them and submit jobs of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.web.conftest import Api
from tests.support.templates import BODY, clear

ADDRESS = "/api/v1/templates"
WANTED = {**BODY, "name": "count", "labels": {"team": "web"}}


@pytest.fixture(autouse=True)
def _none(context: object) -> Iterator[None]:
    clear()
    yield
    clear()


def test_template_is_made_shown_and_retired(api: Api) -> None:
    caller = api.caller("operator")
    made = caller.post(ADDRESS, json=WANTED)
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["name"], told["version"], told["owner"]) == ("count", 1, "ann")
    assert told["parameters"] == BODY["parameters"]
    assert caller.post(ADDRESS, json=WANTED).json() == told, "the same again is that version"
    assert caller.post(ADDRESS, json={**WANTED, "priority": 9}).json()["version"] == 2
    assert caller.get(f"{ADDRESS}/count").json()["version"] == 2
    assert caller.get(f"{ADDRESS}/count@1").json() == told
    assert caller.post(f"{ADDRESS}/count@2/retire").json() == {"versions": ["count@2"]}
    assert caller.get(f"{ADDRESS}/count").json() == told
    assert caller.post(f"{ADDRESS}/count/retire").json() == {"versions": ["count@1"]}
    assert caller.post(f"{ADDRESS}/count/retire").json() == {"versions": []}
    assert caller.get(f"{ADDRESS}/count").status_code == 404
    assert caller.get(f"{ADDRESS}/count@1").json()["retired_at"] is not None


def test_submitter_submits_a_job_once(api: Api) -> None:
    api.caller("operator").post(ADDRESS, json=WANTED)
    caller = api.caller("submitter", owner="bob")
    assert caller.get(ADDRESS).json()["items"][0]["variables"]["tasks"]["max"] == 100
    key = {"Idempotency-Key": "build-17"}
    told = {"variables": {"tasks": 3}, "labels": {"build": "17"}}
    answer = caller.post(f"{ADDRESS}/count/jobs", json=told, headers=key)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["owner"], job["parameters"]) == ("bob", {"tasks": 3, "pause_s": 0.5})
    assert job["labels"] == {"team": "web", "build": "17", "template": "count@1"}
    assert caller.get(answer.headers["Location"]).json() == job
    again = caller.post(f"{ADDRESS}/count/jobs", json=told, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, job["id"])
    other = caller.post(f"{ADDRESS}/count/jobs", json={"variables": {"tasks": 4}}, headers=key)
    assert (other.status_code, other.json()["reason"]) == (409, "conflict")
    found = caller.get("/api/v1/jobs", params={"label": "template=count@1"}).json()["items"]
    assert [each["id"] for each in found] == [job["id"]]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "needs the variable tasks"),
        ({"variables": {"tasks": "many"}}, "'many' is not of the type integer"),
        ({"variables": {"tasks": 1000}}, "more than 100"),
        ({"variables": {"tasks": 1, "x": 1}}, "no variable 'x'; it has: tasks, pause_s"),
        ({"variables": {"tasks": 1}, "x": 1}, "body.x"),
    ],
)
def test_job_with_a_wrong_value_is_refused(api: Api, told: dict[str, Any], why: str) -> None:
    caller = api.caller("operator")
    caller.post(ADDRESS, json=WANTED)
    answer = caller.post(f"{ADDRESS}/count/jobs", json=told)
    assert answer.status_code == 422, answer.text
    assert why in answer.json()["detail"]
    assert caller.get("/api/v1/jobs").json()["items"] == []


def test_retired_version_and_unknown_template_make_no_job(api: Api) -> None:
    caller = api.caller("operator")
    caller.post(ADDRESS, json=WANTED)
    caller.post(f"{ADDRESS}/count/retire")
    told = {"variables": {"tasks": 1}}
    assert caller.post(f"{ADDRESS}/count@1/jobs", json=told).status_code == 422
    for ref in ("count", "count@2", "none"):
        assert caller.post(f"{ADDRESS}/{ref}/jobs", json=told).status_code == 404


@pytest.mark.parametrize(
    "more",
    [
        {"name": "a/b"},
        {"name": "a@1"},
        {"kind": "none"},
        {"kind": None},
        {"parameters": {"tasks": "${x}"}},
        {"parameters": {"unknown": 1}},
        {"variables": {"tasks": {"type": "date"}}},
        {"variables": {"a b": {}}},
        {"kind": "sql_lint", "parameters": {}},
        {"privileged": True},
    ],
)
def test_template_that_cannot_be_one_is_refused(api: Api, more: dict[str, Any]) -> None:
    caller = api.caller("operator")
    answer = caller.post(ADDRESS, json={**WANTED, **more})
    assert answer.status_code == 422, answer.text
    assert caller.get(ADDRESS).json()["items"] == []


def test_lists_come_in_pages(api: Api) -> None:
    caller = api.caller("operator")
    for name in ("c", "a", "b", "b", "b"):
        count = len(caller.get(ADDRESS).json()["items"])
        wanted = {**WANTED, "name": name, "description": f"{count} {name}"}
        assert caller.post(ADDRESS, json=wanted).status_code == 201
        caller.post(ADDRESS, json={**wanted, "priority": 9})
    page = caller.get(ADDRESS, params={"limit": 2}).json()
    assert [each["name"] for each in page["items"]] == ["a", "b"]
    rest = caller.get(ADDRESS, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([each["name"] for each in rest["items"]], rest["next_cursor"]) == (["c"], None)
    found: list[int] = []
    more: dict[str, str] = {}
    while True:
        page = caller.get(f"{ADDRESS}/b/versions", params={"limit": 2, **more}).json()
        found += [each["version"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
    assert found == sorted(found, reverse=True)
    assert found[-1] == 1
    assert caller.get(f"{ADDRESS}/none/versions").status_code == 404


def test_submitters_make_and_retire_none(api: Api) -> None:
    api.caller("operator").post(ADDRESS, json=WANTED)
    caller = api.caller("submitter")
    assert caller.post(ADDRESS, json=WANTED).status_code == 403
    assert caller.post(f"{ADDRESS}/count/retire").status_code == 403
    assert api.bearer(None).get(ADDRESS).status_code == 401
