"""``quayline schedule`` and ``quayline timetable``."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Quayline

TASK = {
    "task_name": "shop",
    "task_type": "custom",
    "docker_image": "data-collection-shop:latest",
}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(TASK))
    return path


def shown(quayline: Quayline, name: str = "nightly") -> dict[str, Any]:
    told = quayline("schedule", "show", name, "--json")
    assert told.exit_code == 0, told.stderr
    return dict(json.loads(told.stdout))


def test_schedule_of_a_container_is_made_from_the_file_that_run_takes(
    quayline: Quayline, task: Path
) -> None:
    made = quayline(
        *("schedule", "create", "nightly", task, "--cron", "30 2 * * *"),
        *("--timezone", "Europe/Berlin", "--catch-up", "all", "--overlap", "cancel_previous"),
        *("--label", "team=web", "--owner", "ann", "--priority", "7"),
    )
    assert made.exit_code == 0, made.stderr
    assert made.stderr.startswith("Schedule nightly: cron 30 2 * * *, next ")
    told = shown(quayline)
    assert (told["kind"], told["parameters"]) == ("container", TASK)
    assert (told["catch_up"], told["overlap"]) == ("all", "cancel_previous")
    assert (told["labels"], told["owner"], told["priority"]) == ({"team": "web"}, "ann", 7)
    listed = quayline("schedule", "list").stdout
    assert "nightly" in listed
    assert "cron 30 2 * * *" in listed


def test_schedule_is_switched_run_and_deleted(quayline: Quayline, task: Path) -> None:
    quayline("schedule", "create", "nightly", task, "--every", "12h")
    assert "off" in quayline("schedule", "disable", "nightly").stderr
    assert shown(quayline)["next_fire_at"] is None
    job_id = quayline("schedule", "run", "nightly", "--key", "k").stdout.strip()
    assert quayline("schedule", "run", "nightly", "--key", "k").stdout.strip() == job_id
    [fire] = shown(quayline)["fires"]
    assert (fire["job_id"], fire["outcome"], fire["actor"]) == (
        *(job_id, "submitted", "command line"),
    )
    again = quayline("schedule", "run", "nightly")
    assert (again.exit_code, "has not ended" in again.stderr) == (2, True)
    assert "next " in quayline("schedule", "enable", "nightly").stderr
    assert job_id in quayline("schedule", "show", "nightly").stdout
    assert quayline("schedule", "delete", "nightly").exit_code == 0
    assert quayline("schedule", "show", "nightly").exit_code == 2
    assert "no schedules" in quayline("schedule", "list").stderr


def test_moment_without_an_offset_is_local_in_the_zone(quayline: Quayline, task: Path) -> None:
    told = ("--at", "2099-06-30T12:00", "--timezone", "America/New_York")
    made = quayline("schedule", "create", "nightly", task, *told)
    assert made.exit_code == 0, made.stderr
    moment = datetime.fromisoformat(shown(quayline)["at"])
    assert moment.utcoffset() == timedelta(0)
    assert f"{moment:%H:%M}" == "16:00"


def test_job_is_repeated_with_its_stored_source(quayline: Quayline, here: Path) -> None:
    job_id = quayline("submit", "b", "--dialect", "postgres").stdout.strip()
    made = quayline("schedule", "create", "lint", "--from-job", job_id, "--cron", "0 3 * * 0")
    assert made.exit_code == 0, made.stderr
    told = shown(quayline, "lint")
    assert (told["kind"], told["parameters"]["dialect"]) == ("sql_lint", "postgres")
    again = quayline("schedule", "run", "lint").stdout.strip()
    code = quayline("wait", again, "--quiet").exit_code
    assert code == 1, "the gate fails as the first job's would"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((), "Give one of cron, every_s and at"),
        (("--cron", "* * * * *", "--every", "5s"), "Give one of cron, every_s and at"),
        (("--cron", "99 * * * *"), "cannot be read"),
        (("--every", "often"), "is no time"),
        (("--at", "tomorrow"), "is no time"),
        (("--at", "2001-01-01"), "has passed"),
        (("--cron", "* * * * *", "--timezone", "Nowhere"), "no time zone"),
        (("--cron", "* * * * *", "--kind", "sql_lint"), "parameters."),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_in_a_sentence(
    quayline: Quayline, task: Path, told: tuple[str, ...], why: str
) -> None:
    made = quayline("schedule", "create", "nightly", task, *told)
    assert (made.exit_code, made.stdout) == (2, "")
    assert why in made.stderr
    assert made.stderr.startswith("Error: ")
    assert "no schedules" in quayline("schedule", "list").stderr


def test_lint_needs_a_job_to_repeat(quayline: Quayline) -> None:
    made = quayline("schedule", "create", "x", "--kind", "sql_lint", "--cron", "0 3 * * *")
    assert (made.exit_code, "--from-job" in made.stderr) == (2, True)


def test_timetable_is_told_with_the_next_run(
    quayline: Quayline, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = '{"dead_letters": {"cron": "0 2 * * *"}, "schedules": "off"}'
    monkeypatch.setenv("QUAYLINE_TIMETABLE", changes)
    told = quayline("timetable", "--format", "json")
    assert told.exit_code == 0, told.stderr
    found = {each["name"]: each for each in json.loads(told.stdout)}
    assert found["schedules"]["when"] == "off"
    assert found["schedules"]["next_run"] is None
    assert datetime.fromisoformat(found["dead_letters"]["next_run"]).hour == 2
    assert found["monitor_executions"]["does"] == "monitor_executions on docker_management"
    assert "cron 0 2 * * *" in quayline("timetable").stdout
    monkeypatch.setenv("QUAYLINE_TIMETABLE", '{"x": "off"}')
    refused = quayline("timetable")
    assert (refused.exit_code, "no entry 'x'" in refused.stderr) == (2, True)


def test_template_is_submitted_at_certain_times(
    quayline: Quayline, task: Path, tmp_path: Path
) -> None:
    body = {
        "kind": "container",
        "parameters": {**TASK, "task_name": "${shop}", "env": {"PAGES": "${pages}"}},
        "variables": {"shop": {}, "pages": {"type": "integer"}},
        "priority": 8,
    }
    path = tmp_path / "template.json"
    path.write_text(json.dumps(body))
    quayline("template", "create", "crawl", path)
    told = ("--template", "crawl", "--var", "shop=north", "--every", "12h")
    made = quayline("schedule", "create", "nightly", *told, "--var", "pages=3")
    assert made.exit_code == 0, made.stderr
    found = shown(quayline)
    assert found["parameters"]["task_name"] == "north"
    assert found["parameters"]["env"] == {"PAGES": "3"}
    assert (found["priority"], found["labels"]) == (8, {"template": "crawl@1"})
    for more, why in (
        (told, "needs the variable pages"),
        ((task, *told, "--var", "pages=3"), "no kind, parameters or from_job"),
        ((task, "--every", "12h", "--var", "a=b"), "--template"),
    ):
        refused = quayline("schedule", "create", "other", *more)
        assert (refused.exit_code, why in refused.stderr) == (2, True), refused.stderr
