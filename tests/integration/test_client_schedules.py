"""Schedules from the producer library."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Client
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.settings import Settings

TASK = {"task_name": "shop", "task_type": "custom", "docker_image": "data-collection-shop:latest"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(Settings(state_dir=tmp_path / "state"), work=False) as opened:
        yield opened


def test_schedule_is_made_changed_run_and_taken_away(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(TASK))
    made = client.schedules.create(
        "nightly", path, cron="30 2 * * *", timezone="Europe/Berlin", owner="ann"
    )
    assert (made.kind, made.parameters, made.owner) == ("container", TASK, "ann")
    with pytest.raises(Conflict):
        client.schedules.create("nightly", TASK, every_s=60)
    assert client.schedules.change("nightly", every_s=60, catch_up="all").every_s == 60
    assert client.schedules.disable("nightly").next_fire_at is None
    assert client.schedules.enable("nightly").next_fire_at is not None
    job = client.job(client.schedules.run("nightly"))
    assert job.info()["labels"] == {"schedule": "nightly"}
    assert job.info()["idempotency_key"] is None
    [fire] = client.schedules.fires("nightly")
    assert (str(fire.job_id), fire.actor) == (job.id, "client")
    assert [each.name for each in client.schedules.list()] == ["nightly"]
    client.schedules.delete("nightly")
    with pytest.raises(NotFound):
        client.schedules.get("nightly")


def test_run_under_the_same_key_is_the_same_job(client: Client) -> None:
    client.schedules.create("often", TASK, every_s=60, overlap="allow")
    ran = [client.schedules.run("often", idempotency_key=key) for key in ("k", "k", "l")]
    assert ran[0] == ran[1] != ran[2]


def test_job_is_repeated_with_its_source(client: Client) -> None:
    job = client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi")
    made = client.schedules.create("weekly", from_job=job, cron="0 3 * * 0")
    assert (made.kind, made.source) == ("sql_lint", job.info()["source"])
    again = client.job(client.schedules.run("weekly"))
    assert again.info()["parameters"] == job.info()["parameters"]


@pytest.mark.parametrize(
    ("document", "told", "why"),
    [
        ({**TASK, "privileged": True}, {"every_s": 60}, "privileged"),
        ({**TASK, "docker_image": "other"}, {"every_s": 60}, "allow-list"),
        (TASK, {}, "one of cron, every_s and at"),
        (TASK, {"every_s": 60, "retries": 3}, "retries"),
    ],
)
def test_what_could_not_be_submitted_is_refused(
    client: Client, document: dict[str, object], told: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        client.schedules.create("x", document, **told)
    assert client.schedules.list() == []
