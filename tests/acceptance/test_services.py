"""Calls of services as their users make them: over HTTP, to workers on RabbitMQ and PostgreSQL."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.core import api_tokens
from pipeline.core.context import close_context, open_context
from pipeline.settings import Settings
from tests.support.servers import free_port
from tests.support.waiting import eventually
from tests.support.workers import Process, Worker, environment, running, scheduler

pytestmark = pytest.mark.timeout(180)

QUAYLINE = [sys.executable, "-m", "pipeline.cli"]
SERVICES, TEMPLATES = "/api/v1/services", "/api/v1/templates"
ORDER = ["PENDING", "RUNNING", "COMPLETED"]


@dataclass
class Deployment:
    """What runs, and a caller with an operator's token."""

    api: Process
    worker: Process
    caller: httpx.Client

    def answers(self) -> None:
        """Return once the API does."""

        def ready() -> bool:
            try:
                return self.caller.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready, within_s=60, what="the API answers")

    def standing(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return how the call stands."""
        answer = self.caller.get(f"{SERVICES}/tasks/{told['task_id']}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def followed(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what was seen of the call, until its end."""
        seen = [told]

        def over() -> bool:
            seen.append(self.standing(told))
            return seen[-1]["status"] not in ("PENDING", "RUNNING")

        eventually(over, within_s=60, what="the call has ended")
        return seen


@pytest.fixture
def deployment(tmp_path: Path, database: str, vhost: str) -> Iterator[Deployment]:
    """A worker, a scheduler and an API."""
    port = free_port()
    settings = Settings(
        state_dir=tmp_path / "state",
        database_url=database,
        broker_url=vhost,
        api_port=port,
        sweep_s=0.5,
        backoff_s=0.1,
        lease_s=3.0,
        service_modules="tests.support.offers",
    )
    open_context(settings)
    _, secret = api_tokens.create("ann", "operator")
    close_context()
    env = environment(settings)
    api = Process("api", [*QUAYLINE, "api"], env, tmp_path)
    worker = Worker("worker", env, tmp_path)
    headers = {"Authorization": f"Bearer {secret}"}
    with (
        running(worker, scheduler(env, tmp_path), api),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as caller,
    ):
        told = Deployment(api, worker, caller)
        told.answers()
        yield told


def test_call_goes_forward_to_its_result(deployment: Deployment, tmp_path: Path) -> None:
    given = {"steps": 10, "path": str(tmp_path / "steps"), "pause_s": 0.1}
    answer = deployment.caller.post(
        f"{SERVICES}/test/heavy/steps",
        json={"input": given, "user_id": "user_123", "step": 4, "heavy": True},
    )
    assert answer.status_code == 202, answer.text
    seen = deployment.followed(answer.json())
    places = [ORDER.index(each["status"]) for each in seen]
    assert places == sorted(places)
    assert {"PENDING", "RUNNING", "COMPLETED"} == {each["status"] for each in seen}
    fractions = [each["progress"]["fraction"] for each in seen if each["progress"]]
    assert fractions == sorted(fractions)
    last = seen[-1]
    assert (last["result"], last["step"], last["task"]) == ({"attempt": 1}, 4, "steps")
    assert last["partial"].split() == [str(number) for number in range(10)]
    assert last["context"]["user_id"] == "user_123"
    assert last["context"]["models"]["small"]["calls"] == 10
    offered = deployment.caller.get(SERVICES).json()
    assert ("test", "heavy", True) in [
        (each["mode"], each["name"], each["heavy"]) for each in offered
    ]


def test_api_that_is_killed_after_a_submission_costs_no_call_and_makes_no_second(
    deployment: Deployment,
) -> None:
    body = {
        **{"name": "count", "kind": "service"},
        "parameters": {
            **{"mode": "test", "service": "text", "task": "count"},
            "input": {"text": "${text}"},
        },
        "variables": {"text": {}},
    }
    caller = deployment.caller
    assert caller.post(TEMPLATES, json=body).status_code == 201

    def submit() -> tuple[str, str]:
        called = caller.post(
            f"{SERVICES}/test/text/count",
            json={"input": {"text": "one two"}},
            headers={"Idempotency-Key": "call"},
        )
        made = caller.post(
            f"{TEMPLATES}/count/jobs",
            json={"variables": {"text": "one two three"}},
            headers={"Idempotency-Key": "template"},
        )
        assert (called.status_code, made.status_code) == (202, 201), (called.text, made.text)
        return called.json()["task_id"], made.json()["id"]

    before = submit()
    deployment.api.kill()
    deployment.api.start()
    deployment.answers()
    # Since then the service has become known, and there is another version of the template.
    assert caller.post(TEMPLATES, json={**body, "priority": 9}).json()["version"] == 2
    assert submit() == before
    words = [deployment.followed({"task_id": each})[-1]["result"]["words"] for each in before]
    assert words == [2, 3]
    assert len(caller.get("/api/v1/jobs").json()["items"]) == 2
