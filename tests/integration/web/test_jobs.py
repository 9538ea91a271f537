"""Jobs over HTTP: their owner sees and steers them, operators see and steer all."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipeline.core import finishing, jobs, planning
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.store.database import execute, session
from tests.integration.web.conftest import Api
from tests.support import factories as make

JOBS = "/api/v1/jobs"


def ended(context: Context, **told: Any) -> uuid.UUID:
    """Return a job that has ended, its result standing."""
    job_id = make.planned_job(context, **told)
    make.work_off(job_id, context)
    finishing.run_finish(job_id, context)
    return job_id


def leafed(client: httpx.Client, path: str, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a list."""
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = client.get(path, params={**asked, **more}).raise_for_status().json()
        yield page["items"]
        cursor = page["next_cursor"]


# --- Lists --------------------------------------------------------------------------------------


def test_list_has_ones_own_jobs_the_newest_first(api: Api) -> None:
    mine = [str(make.pending_job(owner="ann")) for _ in range(3)]
    theirs = str(make.pending_job(owner="bob"))
    assert [each["id"] for each in api.caller().get(JOBS).json()["items"]] == mine[::-1]
    everybody = api.caller("operator", "eve").get(JOBS).json()["items"]
    assert [each["id"] for each in everybody] == [theirs, *mine[::-1]]


def test_pages_neither_repeat_nor_skip_while_jobs_are_added(api: Api) -> None:
    there = [str(make.pending_job(owner="ann")) for _ in range(7)]
    seen: list[str] = []
    for page in leafed(api.caller(), JOBS, limit=3):
        seen += [each["id"] for each in page]
        make.pending_job(owner="ann")
    assert seen == there[::-1]


def test_list_is_filtered(api: Api, context: Context) -> None:
    old = make.pending_job(owner="ann", labels={"team": "web", "n": "1"})
    done = ended(context, owner="ann", labels={"team": "web"})
    other = make.pending_job(owner="bob", labels={"team": "x"})
    client = api.caller("operator", "eve")

    def found(**asked: Any) -> set[uuid.UUID]:
        items = client.get(JOBS, params=asked).raise_for_status().json()["items"]
        return {uuid.UUID(each["id"]) for each in items}

    assert found(state="succeeded") == {done}
    assert found(state=["succeeded", "pending"]) == {old, done, other}
    assert found(owner="bob") == {other}
    assert found(label="team=web") == {old, done}
    assert found(label=["team=web", "n=1"]) == {old}
    assert found(kind="sql_lint") == set()
    assert found(kind="trivial", state="pending", owner="ann") == {old}
    now = datetime.now(UTC)
    assert found(created_since=(now - timedelta(hours=1)).isoformat()) == {old, done, other}
    assert found(created_since=(now + timedelta(hours=1)).isoformat()) == set()
    assert found(created_until=(now - timedelta(hours=1)).isoformat()) == set()


@pytest.mark.parametrize(
    ("labels", "asked", "is_found"),
    [
        ({"a": "b"}, "a=b", True),
        ({"a": "b"}, "a=", False),
        ({"a": ""}, "a=", True),
        ({"a": "bc"}, "a=b", False),
        ({"xa": "b"}, "a=b", False),
        ({"x": 'y","a":"b'}, "a=b", False),
        ({'x","a': "b"}, "a=b", False),
        ({"a": 'b"}'}, 'a=b"}', True),
        ({"a": "100%"}, "a=1%", False),
        ({"A": "b"}, "a=b", False),
        ({"队": "爬虫"}, "队=爬虫", True),
        ({"x": "1", "a": "b", "y": "2"}, "a=b", True),
    ],
)
def test_label_is_found_as_it_is(
    api: Api, labels: dict[str, str], asked: str, is_found: bool
) -> None:
    make.pending_job(owner="ann", labels=labels)
    items = api.caller().get(JOBS, params={"label": asked}).raise_for_status().json()["items"]
    assert bool(items) is is_found


@pytest.mark.parametrize(
    "query",
    [
        *("state=x", "limit=0", "limit=501", "limit=x", "label=x", "kind=A", "owner=a%00"),
        *("created_since=today", "created_since=2026-01-01T00:00:00", "label=a%00=b"),
        *("created_since=9999-12-31T23:59:59-23:59", "created_until=0001-01-01T00:00:00%2B14:00"),
        *("cursor=x", "cursor=%00", "cursor=am9iczp4", "cursor=ZXZlbnRzOjE", f"cursor={'a' * 300}"),
    ],
)
def test_list_that_is_asked_for_badly_is_refused(api: Api, query: str) -> None:
    answer = api.caller().get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_asking_for_another_owner_finds_nothing(api: Api) -> None:
    make.pending_job(owner="bob")
    assert api.caller().get(JOBS, params={"owner": "bob"}).json()["items"] == []


def test_row_that_nobody_can_read_costs_itself(api: Api) -> None:
    good, bad = make.pending_job(owner="ann"), make.pending_job(owner="ann")
    with session():
        sql = "UPDATE jobs SET labels = %s, source = %s, parameters = %s WHERE id = %s"
        execute(sql, "{", "[]", "{", bad.hex)
    client = api.caller()
    assert len(client.get(JOBS, params={"label": "a=b"}).json()["items"]) == 0
    assert len(client.get(JOBS).json()["items"]) == 2
    assert client.get(f"{JOBS}/{good}").is_success
    assert client.get(f"{JOBS}/{bad}").status_code == 409
    assert client.get(f"{JOBS}/{bad}").json()["reason"] == "corrupt"


# --- One ----------------------------------------------------------------------------------------


def test_job_is_shown_with_its_documents(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann", tasks=2, labels={"a": "b"})
    told = api.caller().get(f"{JOBS}/{job_id}").json()
    assert (told["state"], told["owner"], told["labels"]) == ("succeeded", "ann", {"a": "b"})
    assert told["counts"] | {"total": 2, "done": 2, "succeeded": 2} == told["counts"]
    assert told["parameters"] == {"tasks": 2}
    assert told["finalized_at"] is not None


def test_parameters_are_shown_to_their_owner_alone(api: Api) -> None:
    job_id = make.pending_job(owner="ann")
    assert api.caller("operator", "eve").get(f"{JOBS}/{job_id}").json()["parameters"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", ""), ("GET", "/progress"), ("GET", "/events"), ("GET", "/results")),
        *(("GET", "/reports"), ("GET", "/reports/json"), ("POST", "/cancel"), ("POST", "/retry")),
    ],
)
def test_job_of_somebody_else_is_not_there(
    api: Api, context: Context, method: str, path: str
) -> None:
    job_id = ended(context, owner="bob")
    answer = api.caller().request(method, f"{JOBS}/{job_id}{path}")
    missing = api.caller().request(method, f"{JOBS}/{uuid.uuid4()}{path}")
    assert (answer.status_code, missing.status_code) == (404, 404)
    assert answer.json()["detail"].startswith("There is no job")
    assert api.bearer(None).request(method, f"{JOBS}/{job_id}{path}").status_code == 401
    assert jobs.get(job_id).state == "succeeded"
    assert len(jobs.listed()) == 1


def test_progress_is_told(api: Api, context: Context) -> None:
    job_id = make.planned_job(context, owner="ann", tasks=4)
    told = api.caller().get(f"{JOBS}/{job_id}/progress").json()
    assert (told["total"], told["done"], told["planned"]) == (4, 0, True)


def test_events_come_in_pages(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann")
    pages = list(leafed(api.caller(), f"{JOBS}/{job_id}/events", limit=2))
    told = [event["id"] for page in pages for event in page]
    assert told == [event["id"] for event in jobs.events(job_id)]
    assert len(pages) > 1
    assert pages[0][0]["to_state"] == "pending"


def test_cancel_ends_a_job_once(api: Api) -> None:
    job_id = make.pending_job(owner="ann")
    first = api.caller().post(f"{JOBS}/{job_id}/cancel").json()
    again = api.caller("operator", "eve").post(f"{JOBS}/{job_id}/cancel").json()
    assert (first["changed"], first["job"]["state"]) == (True, "cancelled")
    assert (again["changed"], again["job"]["state"]) == (False, "cancelled")


def test_job_that_cannot_be_read_can_be_cancelled(api: Api) -> None:
    job_id = make.pending_job(owner="ann")
    with session():
        execute("UPDATE jobs SET parameters = '{' WHERE id = %s", job_id.hex)
    assert api.caller().post(f"{JOBS}/{job_id}/cancel").status_code == 409
    with session():
        [(state,)] = execute("SELECT state FROM jobs WHERE id = %s", job_id.hex)
    assert state == "cancelled"


def test_retry_is_a_new_job_of_the_same_owner(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann")
    answer = api.caller("operator", "eve").post(f"{JOBS}/{job_id}/retry")
    assert answer.status_code == 201
    again = jobs.get(answer.json()["id"])
    assert (again.owner, again.labels["retry_of"]) == ("ann", str(job_id))
    assert again.labels["retried_by"] == "eve"


def test_open_job_is_not_run_again(api: Api) -> None:
    job_id = make.pending_job(owner="ann")
    answer = api.caller().post(f"{JOBS}/{job_id}/retry")
    assert answer.status_code == 422
    assert "only an ended job" in answer.json()["detail"]


# --- Results and reports ------------------------------------------------------------------------


def test_results_come_in_pages(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann", tasks=5)
    pages = list(leafed(api.caller(), f"{JOBS}/{job_id}/results", limit=2))
    assert [[task["seq"] for task in page] for page in pages] == [[0, 1], [2, 3], [4]]
    assert {task["state"] for page in pages for task in page} == {"succeeded"}


def test_results_are_filtered_by_state(api: Api, context: Context) -> None:
    job_id = jobs.submit(Submission("trivial", {"tasks": 3, "bad": {"1": "crashed"}}, owner="ann"))
    settings = context.settings.model_copy(update={"max_attempts": 1})
    told = Context(settings, context.blobs)
    planning.run_plan(job_id, told)
    make.work_off(job_id, told)
    path = f"{JOBS}/{job_id}/results"
    [page] = leafed(api.caller(), path, state="failed")
    assert [(task["seq"], task["reason"]) for task in page] == [(1, "crashed")]
    lines = api.caller().get(path, params={"state": "failed"}, headers=LINES).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1]


LINES = {"Accept": "application/x-ndjson"}


def test_results_come_as_lines(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann", tasks=500)
    with api.caller().stream("GET", f"{JOBS}/{job_id}/results", headers=LINES) as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [line["seq"] for line in lines] == list(range(500))
    first = api.caller().get(f"{JOBS}/{job_id}/results", params={"limit": 1}).json()["items"][0]
    assert lines[0] == first


def test_kind_without_reports_has_none(api: Api, context: Context) -> None:
    job_id = ended(context, owner="ann")
    assert api.caller().get(f"{JOBS}/{job_id}/reports").json() == []
    assert api.caller().get(f"{JOBS}/{job_id}/reports/json").status_code == 404


def test_reports_of_an_open_job_are_not_ready(api: Api) -> None:
    job_id = jobs.submit(Submission("sql_lint", {"dialect": "ansi"}, owner="ann"))
    client = api.caller()
    names = {each["name"] for each in client.get(f"{JOBS}/{job_id}/reports").json()}
    assert {"json", "sarif", "junit", "html", "gitlab"} <= names
    assert client.get(f"{JOBS}/{job_id}/reports/json").status_code == 409
    assert client.get(f"{JOBS}/{job_id}/reports/nope").status_code == 404
    assert client.get(f"{JOBS}/{job_id}/reports/..%2Fx").status_code == 404


def test_reports_of_an_ended_job_are_streamed_in_their_media_type(api: Api) -> None:
    job_id = jobs.submit(Submission("sql_lint", {"dialect": "ansi"}, owner="ann"))
    jobs.cancel(job_id, actor="ann")
    for name, media_type in {
        "json": "application/json",
        "sarif": "application/sarif+json",
        "html": "text/html; charset=utf-8",
        "junit": "application/xml",
    }.items():
        answer = api.caller().get(f"{JOBS}/{job_id}/reports/{name}")
        assert answer.headers["content-type"] == media_type
        assert int(answer.headers["content-length"]) == len(answer.content) > 0
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_kinds_are_listed_with_their_parameters(api: Api) -> None:
    told = {each["name"]: each for each in api.caller().get("/api/v1/kinds").json()}
    assert told["sql_lint"]["needs_file"]
    assert not told["container"]["needs_file"]
    assert "dialect" in told["sql_lint"]["parameters"]["properties"]
