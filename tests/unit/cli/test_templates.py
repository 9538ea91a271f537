"""``quayline template``."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Quayline

BODY = {
    "kind": "container",
    "parameters": {
        "task_name": "crawl ${shop}",
        "task_type": "custom",
        "docker_image": "data-collection-shop:latest",
        "env": {"PAGES": "${pages}"},
    },
    "variables": {
        "shop": {"description": "Which one."},
        "pages": {"type": "integer", "default": 10},
    },
    "description": "One shop.",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.json"
    path.write_text(json.dumps(BODY))
    return path


def told_by(quayline: Quayline, *told: object) -> Any:
    answer = quayline(*told, "--json")
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


def test_template_is_made_listed_shown_and_retired(quayline: Quayline, file: Path) -> None:
    assert "no templates" in quayline("template", "list").stderr
    made = quayline("template", "create", "crawl", file, "--owner", "ann")
    assert (made.exit_code, made.stderr) == (0, "Template crawl@1: needs shop.\n")
    assert quayline("template", "create", "crawl", file).stderr.startswith("Template crawl@1")
    file.write_text(json.dumps({**BODY, "priority": 9}))
    second = told_by(quayline, "template", "create", "crawl", file)
    assert (second["version"], second["priority"]) == (2, 9)
    assert told_by(quayline, "template", "show", "crawl") == second
    assert told_by(quayline, "template", "show", "crawl@1")["owner"] == "ann"
    [listed] = told_by(quayline, "template", "list")
    assert listed == second
    table = quayline("template", "list").stdout
    assert "crawl@2" in table
    assert "shop, pages" in table
    text = quayline("template", "show", "crawl").stdout
    for word in ("Which one.", "(needed)", "crawl ${shop}", "One shop."):
        assert word in text
    assert "crawl@1" in quayline("template", "versions", "crawl").stdout
    assert len(told_by(quayline, "template", "versions", "crawl")) == 2
    assert "crawl@1, crawl@2" in quayline("template", "retire", "crawl").stderr
    assert "before" in quayline("template", "retire", "crawl").stderr
    gone = quayline("template", "show", "crawl")
    assert (gone.exit_code, "is retired" in gone.stderr) == (2, True)


def test_job_is_submitted_with_typed_values(quayline: Quayline, file: Path, tmp_path: Path) -> None:
    quayline("template", "create", "crawl", file)
    values = tmp_path / "values.json"
    values.write_text('{"shop": "from file", "pages": 2}')
    told = quayline(
        *("template", "submit", "crawl", "--var-file", values, "--var", "shop=7"),
        *("--label", "team=web", "--priority", "8", "--owner", "ann", "--key", "k"),
    )
    assert told.exit_code == 0, told.stderr
    job = told_by(quayline, "show", told.stdout.strip())
    assert job["parameters"]["task_name"] == "crawl 7"
    assert job["parameters"]["env"] == {"PAGES": "2"}
    assert job["labels"] == {"team": "web", "template": "crawl@1"}
    assert (job["priority"], job["owner"]) == (8, "ann")


def test_lint_is_a_template_too(quayline: Quayline, here: Path) -> None:
    job_id = quayline("submit", "b", "--dialect", "postgres").stdout.strip()
    made = quayline("template", "create", "lint", "--from-job", job_id)
    assert (made.exit_code, made.stderr) == (0, "Template lint@1: needs no values.\n")
    told = quayline("template", "submit", "lint", "--wait", "--quiet")
    assert told.exit_code == 1, "the gate fails as the first job's would"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((), "needs the variable shop"),
        (("--var", "shop"), "no NAME=VALUE"),
        (("--var", "shop=a", "--var", "pages=many"), "pages is of the type integer"),
        (("--var", "shop=a", "--var", "pages=1.5"), "type integer"),
        (("--var", "shop=a", "--var", "x=1"), "it has: shop, pages"),
        (("--var-file", "none.json"), "cannot be read"),
    ],
)
def test_what_is_no_value_is_refused_in_a_sentence(
    quayline: Quayline, file: Path, told: tuple[str, ...], why: str
) -> None:
    quayline("template", "create", "crawl", file)
    answer = quayline("template", "submit", "crawl", *told)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("Error: ")
    assert why in answer.stderr
    assert "no jobs" in quayline("jobs").stderr


def test_what_is_no_template_is_refused_in_a_sentence(quayline: Quayline, file: Path) -> None:
    file.write_text(json.dumps({**BODY, "variables": {}}))
    for told, why in (
        (("crawl", file), "not declared"),
        (("crawl",), "--from-job"),
        (("a/b", file), "name: "),
    ):
        answer = quayline("template", "create", *told)
        assert (answer.exit_code, why in answer.stderr) == (2, True), answer.stderr
    assert "no templates" in quayline("template", "list").stderr
