"""Calls of services over HTTP: offered, submitted by their address, followed under their names."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pipeline.core import jobs
from pipeline.core.context import Context
from pipeline.core.embedded import Embedded
from pipeline.kinds.service import offers, registry
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.integration.web.conftest import Api
from tests.support.waiting import eventually

ADDRESS = "/api/v1/services"
Answer = dict[str, Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"service_modules": "tests.support.offers", "sweep_s": 0.2, "threads": 2}
    )


@pytest.fixture(autouse=True)
def _none(context: Context) -> None:
    with session():
        execute("DELETE FROM services")


@pytest.fixture
def offered(context: Context) -> None:
    """What a worker has offered."""
    registry.load(context.settings.service_module_list)
    offers.announce()


@pytest.fixture
def worked(context: Context) -> Iterator[None]:
    """Somebody who does the work."""
    embedded = Embedded(context)
    yield
    embedded.close()


def call(caller: httpx.Client, where: str, **told: Any) -> Answer:
    answer = caller.post(f"{ADDRESS}/{where}", json=told)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert answer.headers["Location"] == f"{ADDRESS}/tasks/{told['task_id']}"
    return told


def ended(caller: httpx.Client, told: Answer) -> Answer:
    def over() -> Answer | None:
        found: Answer = caller.get(f"{ADDRESS}/tasks/{told['task_id']}").json()
        return None if found["status"] in ("PENDING", "RUNNING") else found

    found = eventually(over, within_s=30)
    assert found is not None
    return found


def test_what_workers_offer_is_listed(api: Api, offered: None) -> None:
    found = {(each["mode"], each["name"]): each for each in api.caller().get(ADDRESS).json()}
    text = found["test", "text"]
    assert text["tasks"] == ["count", "count_later", "misfit"]
    assert text["description"].startswith("Counts words.")
    assert text["input_schema"]["properties"]["text"]["type"] == "string"
    assert (text["heavy"], text["takes_any"]) == (False, False)
    assert found["test", "any"]["takes_any"] is True


@pytest.mark.usefixtures("worked")
def test_call_is_completed_with_its_result(api: Api) -> None:
    caller = api.caller()
    told = call(caller, "test/text/count", input={"text": "one two"}, step=4, user_id="user_123")
    assert (told["status"], told["task"], told["step"]) == ("PENDING", "count", 4)
    assert not {"result", "error"} & set(told)
    found = ended(caller, told)
    assert (found["status"], found["result"]) == ("COMPLETED", {"words": 2})
    assert (found["task_id"], found["task"], found["step"]) == (told["task_id"], "count", 4)
    assert found["context"]["user_id"] == "user_123"
    assert "error" not in found
    [task] = caller.get(f"/api/v1/jobs/{told['job_id']}/results").json()["items"]
    by_task = caller.get(f"{ADDRESS}/tasks/{task['id']}").json()
    assert by_task == {**found, "task_id": task["id"]}


@pytest.mark.usefixtures("worked")
def test_progress_and_what_was_used_are_told(api: Api) -> None:
    caller = api.caller()
    found = ended(caller, call(caller, "test/any/tell"))
    assert found["progress"] == {"fraction": 0.5, "message": "half", "details": {"done": 3}}
    assert found["partial"] == "Hello, world"
    assert found["context"]["models"]["small"]["input_tokens"] == 11
    echo = ended(caller, call(caller, "test/any/echo", input={"a": 1}, context={"language": "zh"}))
    assert echo["result"] == {"input": {"a": 1}, "context": "zh", "user": "ann"}


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize(
    ("where", "status", "reason", "error"),
    [
        ("test/any/fail", "FAILED", "error", "ValueError: It did not work"),
        ("test/any/reject", "FAILED", "error", "This text is not taken."),
        ("test/none/x", "FAILED", "bad_request", "none"),
        ("test/stubborn/sleep", "TIMED_OUT", "time_limit", ""),
    ],
)
def test_call_that_fails_says_why(
    api: Api, where: str, status: str, reason: str, error: str
) -> None:
    caller = api.caller()
    found = ended(caller, call(caller, where))
    assert (found["status"], found["reason"]) == (status, reason), found
    assert error in found["error"]
    assert "result" not in found


def test_answer_says_that_nobody_has_offered_the_service_yet(api: Api, context: Context) -> None:
    caller = api.caller()
    told = call(caller, "test/txt/count")
    assert told["warning"] == "No worker has offered test/txt yet; none is known."
    assert "warning" not in caller.get(f"{ADDRESS}/tasks/{told['task_id']}").json()
    registry.load(context.settings.service_module_list)
    offers.announce()
    assert "known are test/text" in call(caller, "test/txt/count")["warning"]
    assert "warning" not in call(caller, "test/text/count", input={"text": ""})


def test_call_that_is_cancelled_before_it_began_says_so(api: Api) -> None:
    caller = api.caller()
    told = call(caller, "test/any/echo", labels={"a": "b"}, priority=9, deadline_s=60)
    job = caller.get(f"/api/v1/jobs/{told['job_id']}").json()
    assert (job["labels"], job["priority"], job["name"]) == ({"a": "b"}, 9, "test/any echo")
    assert job["parameters"]["user_id"] == "ann"
    caller.post(f"/api/v1/jobs/{told['job_id']}/cancel")
    found = caller.get(f"{ADDRESS}/tasks/{told['task_id']}").json()
    assert (found["status"], found["reason"]) == ("CANCELLED", "cancelled")
    assert found["error"]


@pytest.mark.usefixtures("worked")
def test_call_for_each_input_is_one_job(api: Api) -> None:
    caller = api.caller()
    told = call(caller, "test/text/count", inputs=[{"text": "a"}, {"text": "b c"}, {"text": 7}])
    found = ended(caller, told)
    assert (found["status"], found["progress"]["fraction"]) == ("FAILED", 1.0)

    def whole() -> Any:
        return caller.get(f"{ADDRESS}/tasks/{told['task_id']}").json().get("result")

    calls = eventually(whole, within_s=30)["tasks"]
    assert [each.get("result") for each in calls] == [{"words": 1}, {"words": 2}, None]
    tasks = caller.get(f"/api/v1/jobs/{told['job_id']}/results").json()["items"]
    statuses = [caller.get(f"{ADDRESS}/tasks/{each['id']}").json()["status"] for each in tasks]
    assert statuses == ["COMPLETED", "COMPLETED", "FAILED"]


@pytest.mark.parametrize(
    ("heavy", "kind"), [(None, "service"), (True, "heavy_service"), (False, "service")]
)
def test_caller_may_say_where_it_runs(
    api: Api, offered: None, heavy: bool | None, kind: str
) -> None:
    told = call(api.caller(), "test/text/count", input={"text": ""}, heavy=heavy)
    assert jobs.get(told["job_id"]).kind == kind


def test_same_key_is_the_same_call(api: Api) -> None:
    caller = api.caller()
    told = [
        caller.post(
            f"{ADDRESS}/test/any/echo", json={"input": {"a": a}}, headers={"Idempotency-Key": "k"}
        )
        for a in (1, 1, 2)
    ]
    assert [each.status_code for each in told] == [202, 202, 409]
    assert told[0].json()["task_id"] == told[1].json()["task_id"]


def test_call_that_is_repeated_after_its_service_became_known_is_the_same(
    api: Api, context: Context
) -> None:
    caller = api.caller()
    told: Answer = {"json": {}, "headers": {"Idempotency-Key": "k"}}
    first = caller.post(f"{ADDRESS}/test/heavy/steps", **told).json()
    registry.load(context.settings.service_module_list)
    offers.announce()
    again = caller.post(f"{ADDRESS}/test/heavy/steps", **told)
    assert (again.status_code, again.json()["task_id"]) == (202, first["task_id"])
    assert jobs.get(first["job_id"]).kind == "service"
    assert jobs.get(call(caller, "test/heavy/steps")["job_id"]).kind == "heavy_service"


def test_call_of_somebody_else_is_not_there(api: Api) -> None:
    told = call(api.caller(), "test/any/echo")
    where = f"{ADDRESS}/tasks/{told['task_id']}"
    assert api.caller(owner="bob").get(where).status_code == 404
    assert api.caller("operator", owner="bob").get(where).status_code == 200
    assert api.bearer(None).get(where).status_code == 401
    assert api.caller().get(f"{ADDRESS}/tasks/{uuid.uuid4()}").status_code == 404


def test_job_of_another_kind_is_no_call(api: Api, running: Callable[..., Any]) -> None:
    told = running()
    for each in (told.id, told.job_id):
        assert api.caller().get(f"{ADDRESS}/tasks/{each}").status_code == 404


@pytest.mark.parametrize(
    ("where", "told", "why"),
    [
        ("test/text/none", {}, "no task 'none'; it has count, count_later, misfit"),
        ("test/any/x", {"input": {}, "inputs": [{}]}, "give input or inputs"),
        ("test/any/x", {"inputs": []}, "body.inputs"),
        ("test/any/x", {"input": "text"}, "body.input"),
        ("test/any/x", {"step": -1}, "body.step"),
        ("test/any/x", {"privileged": True}, "body.privileged"),
        ("test/any/x", {"input": {"a": "x" * 600_000}}, "QUAYLINE_SERVICE_INPUT_BYTES"),
    ],
)
def test_call_that_cannot_be_one_is_refused(
    served: Callable[..., Api], offered: None, where: str, told: Answer, why: str
) -> None:
    caller = served(service_input_bytes=500_000).caller()
    answer = caller.post(f"{ADDRESS}/{where}", json=told)
    assert answer.status_code == 422, answer.text
    assert why in answer.json()["detail"]
    assert caller.get("/api/v1/jobs").json()["items"] == []


def test_examples_of_submissions_are_ones_that_are_taken(api: Api) -> None:
    caller = api.caller()
    document = caller.get("/openapi.json").json()
    told = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]
    examples = told["application/json"]["examples"]
    for name in ("service", "heavy_service", "container"):
        answer = caller.post("/api/v1/jobs", json=examples[name]["value"])
        assert answer.status_code == 201, answer.text
        assert answer.json()["kind"] == name
