"""``quayline workflow``: steps from a file, in one process, on services of the tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.workflows import line_of
from tests.unit.cli.conftest import Quayline

ECHO = {"mode": "test", "service": "any", "task": "echo"}
COUNT = {"mode": "test", "service": "text", "task": "count"}
STEPS: list[dict[str, Any]] = [
    {"name": "first", **COUNT, "input": {"text": "one two"}},
    {
        **{"name": "second", **ECHO, "needs": ["first"]},
        "input": {"words": {"$from": "first", "path": "words"}},
    },
]


@pytest.fixture(autouse=True)
def _modules(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_SERVICE_MODULES", "tests.support.offers")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "steps.json"
    path.write_text(json.dumps(STEPS))
    return path


def test_each_step_has_a_line_when_it_begins_and_when_it_ends(
    quayline: Quayline, file: Path
) -> None:
    told = quayline("workflow", file)
    assert told.exit_code == 0, told.stderr
    job, *lines = told.stderr.splitlines()
    assert job.startswith("Job ")
    assert [line for line in lines if "completed" in line] == [
        *("first: completed", "second: completed"),
    ]
    assert set(lines) <= {f"{name}: {state}" for name in ("first", "second") for state in STATES}
    assert [line.split()[:2] for line in told.stdout.splitlines()] == [
        *(["CALL", "STATE"], ["first", "succeeded"], ["second", "succeeded"]),
    ]


STATES = ("running", "completed")


def test_step_that_fails_says_why_and_what_needs_it_is_not_made(
    quayline: Quayline, tmp_path: Path
) -> None:
    path = tmp_path / "steps.json"
    failing = {**STEPS[0], "service": "any", "task": "fail"}
    other = {"name": "other", **ECHO}
    path.write_text(json.dumps({"steps": [failing, STEPS[1], other], "user_id": "ann"}))
    told = quayline("workflow", path)
    assert told.exit_code == 1, told.stderr
    lines = told.stderr.splitlines()
    assert "first: failed: ValueError: It did not work (error)" in lines
    told_of = "second: cancelled: It needs the step first, which did not succeed. (need_failed)"
    assert told_of in lines
    assert "other: completed" in lines
    whole = json.loads(quayline("workflow", path, "--quiet", "--json").stdout)
    assert (whole["status"], whole["result"][2]["result"]["user"]) == ("FAILED", "ann")


@pytest.mark.parametrize(
    ("status", "attempt", "more", "line"),
    [
        ("running", 1, {}, "running"),
        ("running", 2, {}, "running again"),
        ("pending", 2, {"reason": "error"}, "pending again"),
        ("completed", 2, {"result": None}, "completed"),
        ("timed_out", 2, {"error": "It was long.", "reason": "time_limit"}, None),
    ],
)
def test_line_says_whether_a_step_is_tried_again(
    status: str, attempt: int, more: dict[str, Any], line: str | None
) -> None:
    told = line_of({"status": status, "attempt": attempt, **more})
    assert told == (line or "timed_out: It was long. (time_limit)")


def test_steps_are_left_to_others_once_under_their_key(quayline: Quayline, file: Path) -> None:
    told = [
        quayline("workflow", file, "--no-wait", "--key", "k", "--on-failure", "stop", "--heavy")
        for _ in range(2)
    ]
    assert told[0].stdout == told[1].stdout
    assert "No worker has offered test/any, test/text yet" in told[0].stderr
    job = json.loads(quayline("show", told[0].stdout.strip(), "--json").stdout)
    assert (job["kind"], job["state"]) == ("heavy_service", "pending")
    assert job["parameters"]["on_failure"] == "stop"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("{}", "holds no steps"),
        ('"steps"', "holds no steps"),
        ("[1]", "holds no steps"),
        ('{"steps": [], "owner": "x"}', "not 'owner'"),
        ("[]", "at least 1 item"),
        (json.dumps([{"name": "a", **ECHO, "needs": ["b"]}]), "which is no step"),
    ],
)
def test_file_that_holds_no_steps_is_refused(
    quayline: Quayline, file: Path, text: str, why: str
) -> None:
    file.write_text(text)
    told = quayline("workflow", file)
    assert (told.exit_code, told.stdout) == (2, ""), told.stderr
    assert why in told.stderr
    assert quayline("jobs").stdout == ""


def test_file_that_is_not_there_is_named(quayline: Quayline) -> None:
    told = quayline("workflow", "nowhere.json")
    assert (told.exit_code, told.stderr) == (2, "Error: nowhere.json: No such file or directory.\n")
