"""What containers send: taken from them alone, whole or not at all, and never after the end."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pipeline.core import executions, jobs, kinds
from pipeline.core.executions import Beat, Execution
from pipeline.errors import DatabaseUnavailable
from pipeline.web import beats, bodies
from tests.integration.web.conftest import Api, Running
from tests.support import factories as make
from tests.support import trivial

Launch = Callable[..., Running]
HEARTBEAT = "/api/v1/monitoring/heartbeat"
COMPLETION = "/api/v1/monitoring/completion"


def heartbeat(told: Running, **more: Any) -> dict[str, Any]:
    """Return the body that the printed client of the containers sends."""
    return {
        "execution_id": str(told.id),
        "container_name": "box",
        "status": "running",
        "progress": {"stage": "pages", "current_step": 3, "percentage": 30.0},
        "timestamp": 1764164427,
        **more,
    }


def completion(told: Running, **more: Any) -> dict[str, Any]:
    """Return the body of its end."""
    return {
        "execution_id": str(told.id),
        "container_name": "box",
        "success": True,
        "result_data": {"processed_records": 1000},
        "error_message": None,
        **more,
    }


def words(told: Running) -> tuple[object, ...]:
    """Return all that callbacks can change."""
    found: Execution = executions.get(told.id)
    said = (found.status, found.progress, found.heartbeat_at, found.container_name)
    return (*said, found.completed_at, found.success, found.result, found.error)


@pytest.mark.parametrize("in_path", [True, False])
def test_heartbeat_is_noted_under_its_token(api: Api, running: Launch, in_path: bool) -> None:
    told = running()
    path = f"/t/{told.token}{HEARTBEAT}" if in_path else HEARTBEAT
    answer = api.bearer(None if in_path else told.token).post(path, json=heartbeat(told))
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "cancel": False})
    noted = executions.get(told.id)
    assert (noted.status, noted.container_name) == ("running", "box")
    assert noted.progress == {"stage": "pages", "current_step": 3, "percentage": 30.0}


def test_bare_number_is_a_percentage(api: Api, running: Launch) -> None:
    told = running()
    assert api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told, progress=40)).is_success
    assert executions.get(told.id).progress == {"percentage": 40}


def test_heartbeat_without_progress_keeps_the_last(api: Api, running: Launch) -> None:
    told = running()
    client = api.bearer(told.token)
    client.post(HEARTBEAT, json=heartbeat(told, progress={"percentage": 10}))
    assert client.post(HEARTBEAT, json=heartbeat(told, progress=None)).is_success
    assert executions.get(told.id).progress == {"percentage": 10}


def forged(told: Running, other: Running) -> Iterator[str]:
    """Yield tokens that are not this execution's."""
    run, _, proof = told.token.partition(".")
    yield from ("x", ".", "..", "null", "undefined", "1.", f".{proof}", f"{run}.", run, proof)
    yield from (f"{run}.{proof[:-1]}", f"{run}.{proof}0", f"{run}.{proof.upper()}")
    yield from (f"2.{proof}", f"-1.{proof}", f"0{run}.{proof}", f"{run}.{'0' * len(proof)}")
    yield from (f"{run}.{proof[::-1]}", f"１.{proof}", f"{run}.{proof}" * 20, other.token)
    yield from (executions.token(uuid.UUID(int=0), 1), told.id.hex, f"99999999.{proof}")


def test_forged_token_changes_nothing(api: Api, running: Launch) -> None:
    told, other = running(), running()
    before = words(told)
    tokens = list(forged(told, other))
    assert len(tokens) >= 20
    for token in tokens:
        in_path = f"/t/{httpx.URL(path=token).raw_path.decode().replace('/', '%2F')}"
        for path, headers in (
            (HEARTBEAT, {b"Authorization": f"Bearer {token}".encode()}),
            (f"{in_path}{HEARTBEAT}", {}),
        ):
            for body in (heartbeat(told), completion(told)):
                to = path if "status" in body else path.replace("heartbeat", "completion")
                answer = api.bearer(None).post(to, json=body, headers=headers)
                assert answer.status_code in {401, 403, 404}, (token, to)
    assert words(told) == before


def test_no_token_and_api_tokens_are_no_token_of_an_execution(api: Api, running: Launch) -> None:
    told = running()
    before = words(told)
    assert api.bearer(None).post(HEARTBEAT, json=heartbeat(told)).status_code == 401
    for role in ("submitter", "admin"):
        assert api.caller(role).post(HEARTBEAT, json=heartbeat(told)).status_code == 403
        assert api.caller(role).post(COMPLETION, json=completion(told)).status_code == 403
    assert words(told) == before


@pytest.mark.parametrize(
    "progress",
    [
        *("NaN", "Infinity", "-Infinity", "1e999", "true", "-1", "101", "100.01", '"50"', "[]"),
        *('{"percentage": NaN}', '{"percentage": 1e999}', '{"percentage": true}'),
        *('{"percentage": -1}', '{"percentage": 101}', '{"percent": 101}', '{"percent": "1"}'),
        *('{"rate": NaN}', '{"x": {"y": [1e999]}}', '{"a": "\\u0000"}', '{"\\u0000": 1}'),
        *('{"a": "\\ud800"}', "[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "{", ""),
    ],
)
def test_progress_that_is_none_is_refused(api: Api, running: Launch, progress: str) -> None:
    told = running()
    before = words(told)
    body = f'{{"execution_id": "{told.id}", "status": "running", "progress": {progress}}}'
    headers = {"Content-Type": "application/json"}
    answer = api.bearer(told.token).post(HEARTBEAT, content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert words(told) == before


@pytest.mark.parametrize(
    "more",
    [
        *({"status": "a\0b"}, {"container_name": "\0"}, {"status": ""}, {"status": 3}),
        *({"status": "x" * 65}, {"container_name": "x" * 256}, {"execution_id": "test"}),
        *({"execution_id": None}, {"timestamp": "soon"}, {"timestamp": -1}),
    ],
)
def test_heartbeat_that_is_none_is_refused(api: Api, running: Launch, more: dict[str, Any]) -> None:
    told = running()
    answer = api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told, **more))
    assert answer.status_code == 422
    assert executions.get(told.id).heartbeat_at is None


@pytest.mark.parametrize(
    "more",
    [
        *({"success": "yes"}, {"success": 1}, {"success": None}, {"result_data": [1]}),
        *({"error_message": "a\0"}, {"result_data": {"a": "\0"}}, {"error_message": "x" * 20_001}),
    ],
)
def test_completion_that_is_none_is_refused(
    api: Api, running: Launch, more: dict[str, Any]
) -> None:
    told = running()
    answer = api.bearer(told.token).post(COMPLETION, json=completion(told, **more))
    assert answer.status_code == 422
    assert executions.get(told.id).completed_at is None


@pytest.mark.parametrize("is_told", [True, False], ids=["length", "chunks"])
def test_body_past_the_limit_is_refused_while_it_streams(
    served: Callable[..., Api], running: Launch, is_told: bool
) -> None:
    api, told = served(api_max_body_bytes=4096), running()
    body = httpx.Request("POST", api.url, json=heartbeat(told, progress={"a": "x" * 8192})).read()
    content = body if is_told else iter([body[:2000], body[2000:]])
    headers = {"Content-Type": "application/json"}
    answer = api.bearer(told.token).post(HEARTBEAT, content=content, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert executions.get(told.id).heartbeat_at is None


def test_completion_is_noted_once(api: Api, running: Launch) -> None:
    told = running()
    client = api.bearer(told.token)
    first = client.post(COMPLETION, json=completion(told))
    noted = words(told)
    second = client.post(COMPLETION, json=completion(told, success=False, error_message="no"))
    assert (first.json()["status"], second.json()["status"]) == ("ok", "ignored")
    assert (first.status_code, second.status_code) == (200, 200)
    assert words(told) == noted
    assert executions.get(told.id).result == {"processed_records": 1000}


@pytest.mark.parametrize("path", [HEARTBEAT, COMPLETION])
def test_word_after_the_end_changes_nothing(api: Api, running: Launch, path: str) -> None:
    told = running()
    executions.ended(told.id, 1, exit_code=0)
    before = words(told)
    body = heartbeat(told) if path == HEARTBEAT else completion(told)
    answer = api.bearer(told.token).post(path, json=body)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert words(told) == before


def test_word_of_an_earlier_run_changes_nothing(api: Api, running: Launch) -> None:
    told = running()
    executions.next_run(told.id, 1)
    before = words(told)
    answer = api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told))
    assert answer.json() == {"status": "ignored", "cancel": True}
    assert words(told) == before


def test_cancel_is_learnt_from_the_answer(api: Api, running: Launch) -> None:
    told = running()
    jobs.cancel(told.job_id, actor="ann")
    answer = api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told))
    assert answer.json() == {"status": "ok", "cancel": True}


def test_heartbeat_is_small(api: Api, running: Launch) -> None:
    told = running()
    body = heartbeat(told) | {"progress": {"log": "x" * 70_000}}
    answer = api.bearer(told.token).post(HEARTBEAT, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


def test_long_document_is_read_beside_the_event_loop(
    api: Api, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = running()
    threads: list[str] = []
    read = bodies.document

    def noted(body: bytes, *place: str) -> Any:
        threads.append(threading.current_thread().name)
        return read(body, *place)

    monkeypatch.setattr(bodies, "document", noted)
    client = api.bearer(told.token)
    assert client.post(HEARTBEAT, json=heartbeat(told)).is_success
    long = completion(told) | {"result_data": {"log": "x" * 100_000}}
    assert client.post(COMPLETION, json=long).is_success
    assert [name == "api" for name in threads] == [True, False]


def test_flood_is_noted_whole_and_written_in_groups(
    api: Api, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [running() for _ in range(8)]
    groups: list[int] = []
    write = executions.beat

    def counted(beats: list[Beat]) -> Any:
        groups.append(len(beats))
        return write(beats)

    monkeypatch.setattr(executions, "beat", counted)

    def beat(number: int) -> tuple[int, dict[str, Any]]:
        each = told[number % len(told)]
        body = heartbeat(each, progress={"number": number})
        with httpx.Client(base_url=api.url, timeout=30, verify=False) as client:
            answer = client.post(f"/t/{each.token}{HEARTBEAT}", json=body)
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(beat, range(400)))
    assert answers == [(200, {"status": "ok", "cancel": False})] * 400
    assert sum(groups) == 400
    assert max(groups) > 1


def test_heartbeats_that_wait_share_one_transaction(
    api: Api, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = running()
    entered, go_on, groups = threading.Event(), threading.Event(), []
    write = executions.beat

    def held(beats: list[Beat]) -> Any:
        groups.append(len(beats))
        entered.set()
        assert go_on.wait(20)
        return write(beats)

    monkeypatch.setattr(executions, "beat", held)
    waiting = threading.Semaphore(0)
    note = beats.Beats.note

    async def counted(self: beats.Beats, beat: Beat) -> Any:
        waiting.release()
        return await note(self, beat)

    monkeypatch.setattr(beats.Beats, "note", counted)

    def beat(_: int) -> int:
        with httpx.Client(base_url=api.url, timeout=30, verify=False) as client:
            return client.post(f"/t/{told.token}{HEARTBEAT}", json=heartbeat(told)).status_code

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(beat, 0)
        assert entered.wait(20)
        rest = [pool.submit(beat, number) for number in range(5)]
        for _ in range(6):
            assert waiting.acquire(timeout=20)
        # The last of them has been counted just before it waits; the loop takes it in turn.
        assert api.bearer(None).get("/healthz").is_success
        go_on.set()
        assert [each.result() for each in (first, *rest)] == [200] * 6
    assert groups == [1, 5]


def test_heartbeat_that_was_not_written_is_not_answered_200(
    api: Api, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: list[Beat]) -> Any:
        raise DatabaseUnavailable("The database does not answer.")

    told = running()
    monkeypatch.setattr(executions, "beat", away)
    answer = api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_end_that_is_told_is_rung_for_once(
    api: Api, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    ringing = replace(trivial.KIND, end_queue="trivial_work", end_actor="collect_trivial")
    monkeypatch.setitem(kinds._registered, "trivial", ringing)
    told = running()
    make.take_messages()
    client = api.bearer(told.token)
    client.post(COMPLETION, json=completion(told))
    client.post(COMPLETION, json=completion(told))
    assert make.take_messages() == [("collect_trivial", (str(told.id),))]


# --- Looking ------------------------------------------------------------------------------------


def test_last_heartbeat_and_status_are_shown_to_owner_operator_and_container(
    api: Api, running: Launch
) -> None:
    told = running()
    api.bearer(told.token).post(HEARTBEAT, json=heartbeat(told))
    for client in (api.caller(), api.caller("operator", "bob"), api.bearer(told.token)):
        last = client.get(f"{HEARTBEAT}/{told.id}").json()
        assert last["progress"]["percentage"] == 30.0
        assert last["age_s"] >= 0
        status = client.get(f"/api/v1/task/execution/{told.id}/status").json()
        assert (status["state"], status["host"], status["run"]) == ("running", "here", 1)
        assert status["job_id"] == str(told.job_id)


def test_execution_of_somebody_else_is_not_there(api: Api, running: Launch) -> None:
    told, other = running(), running()
    for client, status in (
        *((api.caller(owner="bob"), 404), (api.bearer(None), 401), (api.bearer(other.token), 401)),
        (api.bearer("qlt_wrong"), 401),
    ):
        for path in (f"{HEARTBEAT}/{told.id}", f"/api/v1/task/execution/{told.id}/status"):
            assert client.get(path).status_code == status


def test_unknown_execution_is_not_found(api: Api) -> None:
    client = api.caller("admin")
    assert client.get(f"{HEARTBEAT}/{uuid.uuid4()}").status_code == 404
    assert client.get("/api/v1/task/execution/test/status").status_code == 422
