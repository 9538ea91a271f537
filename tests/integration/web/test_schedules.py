"""Operators tell what is submitted at certain times."""

from collections.abc import Iterator

import httpx
import pytest

from pipeline.core import jobs
from tests.integration.web.conftest import Api
from tests.support.schedules import clear

ADDRESS = "/api/v1/schedules"
WANTED = {
    "name": "nightly",
    "kind": "trivial",
    "parameters": {"tasks": 3},
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "labels": {"team": "web"},
}


@pytest.fixture(autouse=True)
def _none(context: object) -> Iterator[None]:
    clear()
    yield
    clear()


def test_schedule_is_made_shown_changed_and_taken_away(api: Api) -> None:
    caller = api.caller("operator")
    made = caller.post(ADDRESS, json=WANTED)
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["owner"], told["catch_up"], told["overlap"]) == ("ann", "once", "skip")
    assert told["next_fire_at"].endswith(("T00:30:00Z", "T01:30:00Z"))
    assert caller.post(ADDRESS, json=WANTED).status_code == 409
    assert caller.get(f"{ADDRESS}/nightly").json() == told
    changed = caller.patch(
        f"{ADDRESS}/nightly", json={"every_s": 60, "enabled": False, "overlap": "allow"}
    ).json()
    assert (changed["cron"], changed["every_s"], changed["enabled"]) == (None, 60, False)
    assert changed["next_fire_at"] is None
    assert caller.delete(f"{ADDRESS}/nightly").status_code == 204
    for gone in (caller.get, caller.delete):
        assert gone(f"{ADDRESS}/nightly").status_code == 404


def test_schedule_is_run_and_its_history_comes_in_pages(api: Api) -> None:
    caller = api.caller("operator")
    caller.post(ADDRESS, json={**WANTED, "overlap": "allow"})
    ran = [caller.post(f"{ADDRESS}/nightly/run") for _ in range(3)]
    assert [each.status_code for each in ran] == [201] * 3
    found: list[dict[str, str]] = []
    cursor: str | None = None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        page = caller.get(f"{ADDRESS}/nightly/fires", params={"limit": 1, **more}).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [each["job_id"] for each in found] == [each.json()["job_id"] for each in ran][::-1]
    assert {each["actor"] for each in found} == {"ann"}
    assert jobs.get(found[0]["job_id"]).labels == {"team": "web", "schedule": "nightly"}


def test_run_that_is_repeated_under_its_key_is_the_job_that_it_made(api: Api) -> None:
    caller = api.caller("operator")
    for name in ("nightly", "other"):
        caller.post(ADDRESS, json={**WANTED, "name": name})

    def run(name: str, key: str, by: str = "ann") -> httpx.Response:
        return api.caller("operator", owner=by).post(
            f"{ADDRESS}/{name}/run", headers={"Idempotency-Key": key}
        )

    first = run("nightly", "k")
    assert first.status_code == 201
    # Though its job is open, and whatever it has become since.
    caller.patch(f"{ADDRESS}/nightly", json={"priority": 9, "enabled": False})
    assert [run("nightly", "k", by).json() for by in ("ann", "bob")] == [first.json()] * 2
    assert jobs.get(first.json()["job_id"]).idempotency_key == "k"
    assert len(caller.get(f"{ADDRESS}/nightly/fires").json()["items"]) == 1
    used = run("other", "k")
    assert (used.status_code, used.json()["reason"]) == (409, "conflict")
    assert "'k' was used for another request" in used.json()["detail"]
    assert caller.get(f"{ADDRESS}/other/fires").json()["items"] == []
    assert run("other", "l").status_code == 201
    assert run("nightly", "l").status_code == 409
    assert run("nightly", "\x7f").status_code == 422


def test_run_that_was_refused_may_be_repeated_under_its_key(api: Api) -> None:
    caller = api.caller("operator")
    caller.post(ADDRESS, json=WANTED)
    open_job = caller.post(f"{ADDRESS}/nightly/run").json()["job_id"]

    def run() -> httpx.Response:
        return caller.post(f"{ADDRESS}/nightly/run", headers={"Idempotency-Key": "k"})

    assert run().status_code == 409
    caller.post(f"/api/v1/jobs/{open_job}/cancel")
    again = [run() for _ in range(2)]
    assert [each.status_code for each in again] == [201, 201]
    assert again[0].json() == again[1].json() != {"job_id": open_job}


def test_run_that_would_overlap_is_a_conflict(api: Api) -> None:
    caller = api.caller("operator")
    caller.post(ADDRESS, json=WANTED)
    assert caller.post(f"{ADDRESS}/nightly/run").status_code == 201
    again = caller.post(f"{ADDRESS}/nightly/run")
    assert (again.status_code, again.json()["reason"]) == (409, "conflict")
    assert "has not ended" in again.json()["detail"]


def test_list_comes_in_pages(api: Api) -> None:
    caller = api.caller("operator")
    for name in ("c", "a", "b"):
        caller.post(ADDRESS, json={**WANTED, "name": name})
    page = caller.get(ADDRESS, params={"limit": 2}).json()
    assert [each["name"] for each in page["items"]] == ["a", "b"]
    rest = caller.get(ADDRESS, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([each["name"] for each in rest["items"]], rest["next_cursor"]) == (["c"], None)


def test_parameters_are_shown_to_their_owner_alone(api: Api) -> None:
    api.caller("operator").post(ADDRESS, json=WANTED)
    other = api.caller("operator", owner="bob")
    assert other.get(f"{ADDRESS}/nightly").json()["parameters"] is None


@pytest.mark.parametrize(
    "more",
    [
        {"cron": "x y"},
        {"cron": None},
        {"every_s": 60},
        {"cron": None, "at": "2001-01-01T00:00:00Z"},
        {"cron": None, "at": "2027-01-01T00:00:00"},
        {"timezone": "Nowhere"},
        {"parameters": {"tasks": "x"}},
        {"kind": "sql_lint", "parameters": {}},
        {"kind": None},
        {"name": "a/b"},
        {"catch_up": "perhaps"},
        {"privileged": True},
    ],
)
def test_schedule_that_cannot_be_one_is_refused(api: Api, more: dict[str, object]) -> None:
    caller = api.caller("operator")
    answer = caller.post(ADDRESS, json={**WANTED, **more})
    assert answer.status_code == 422, answer.text
    assert caller.get(ADDRESS).json()["items"] == []


def test_schedules_are_not_for_submitters(api: Api) -> None:
    caller = api.caller("submitter")
    assert caller.get(ADDRESS).status_code == 403
    assert caller.post(ADDRESS, json=WANTED).status_code == 403
