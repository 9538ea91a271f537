"""Templates from the producer library."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Client
from pipeline.errors import NotFound, Refused
from pipeline.settings import Settings

BODY: dict[str, Any] = {
    "kind": "container",
    "parameters": {
        "task_name": "crawl ${shop}",
        "task_type": "custom",
        "docker_image": "data-collection-shop:latest",
        "env": {"PAGES": "${pages}"},
    },
    "variables": {"shop": {}, "pages": {"type": "integer", "default": 10}},
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(Settings(state_dir=tmp_path / "state"), work=False) as opened:
        yield opened


def test_template_is_made_used_and_retired(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "crawl.json"
    path.write_text(json.dumps(BODY))
    made = client.templates.create("crawl", path, owner="ann", description="A shop.")
    assert (made.ref, made.owner, made.description) == ("crawl@1", "ann", "A shop.")
    assert client.templates.create("crawl", BODY, priority=9).version == 2
    job = client.templates.submit("crawl", shop="north", labels={"team": "web"}, owner="bob")
    info = job.info()
    assert (info["owner"], info["priority"]) == ("bob", 9)
    assert info["parameters"]["task_name"] == "crawl north"
    assert info["parameters"]["env"] == {"PAGES": "10"}
    assert info["source"] == {"name": "crawl north"}
    assert info["labels"] == {"team": "web", "template": "crawl@2"}
    told = [client.templates.submit("crawl@1", {"shop": "s"}, idempotency_key="k") for _ in "ab"]
    assert told[0].id == told[1].id
    assert [each.ref for each in client.templates.list()] == ["crawl@2"]
    assert [each.ref for each in client.templates.versions("crawl")] == ["crawl@2", "crawl@1"]
    assert client.templates.retire("crawl") == ["crawl@1", "crawl@2"]
    with pytest.raises(NotFound):
        client.templates.get("crawl")


def test_variables_with_names_of_arguments_are_given_apart(client: Client) -> None:
    parameters = {**BODY["parameters"], "task_name": "${owner}", "env": {}}
    client.templates.create(
        "x", kind="container", parameters=parameters, variables={"owner": {"type": "string"}}
    )
    info = client.templates.submit("x", {"owner": "value"}, owner="ann").info()
    assert (info["owner"], info["parameters"]["task_name"]) == ("ann", "value")


def test_job_is_repeated_with_its_source(client: Client) -> None:
    job = client.lint({"a.sql": b"SELECT 1\n"}, dialect="ansi")
    made = client.templates.create(
        *("lint",),
        from_job=job,
        parameters={"dialect": {"$var": "dialect"}},
        variables={"dialect": {"enum": ["ansi", "postgres"]}},
    )
    assert (made.kind, made.source) == ("sql_lint", job.info()["source"])
    again = client.templates.submit("lint", dialect="postgres").info()
    assert again["source"] == job.info()["source"]
    assert again["parameters"] == {"dialect": "postgres"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"shop": 1}, "type string"),
        ({"shop": "s", "x": 1}, "no variable 'x'"),
        ({}, "needs the variable shop"),
        ({"shop": "s" * 500}, "parameters.custom.task_name"),
    ],
)
def test_what_could_not_be_submitted_is_refused(
    client: Client, values: dict[str, Any], why: str
) -> None:
    client.templates.create("crawl", BODY)
    with pytest.raises(Refused, match=why):
        client.templates.submit("crawl", values)
    assert client.jobs() == []


def test_name_that_the_kind_does_not_know_is_refused_before_there_are_values(
    client: Client,
) -> None:
    for name in ("environment", "privileged"):
        with pytest.raises(Refused, match=f"parameters.custom.{name}: "):
            client.templates.create("x", {**BODY, "parameters": {**BODY["parameters"], name: {}}})
    # Which names there are, a value decides here.
    told = {**BODY["parameters"], "task_type": {"$var": "type"}, "config": {}}
    variables = {**BODY["variables"], "type": {"enum": ["custom", "crawler"]}}
    client.templates.create("y", {**BODY, "parameters": told, "variables": variables})


def test_image_off_the_allow_list_is_refused(client: Client) -> None:
    body = {**BODY, "parameters": {**BODY["parameters"], "docker_image": "${image}"}}
    variables = {**BODY["variables"], "image": {}}
    client.templates.create("any", {**body, "variables": variables})
    with pytest.raises(Refused, match="allow-list"):
        client.templates.submit("any", shop="s", image="other")
