"""``quayline service``: in one process, on services of the tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import services
from pipeline.errors import Refused
from tests.unit.cli.conftest import Quayline


@pytest.fixture(autouse=True)
def _modules(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_SERVICE_MODULES", "tests.support.offers")


def told_by(quayline: Quayline, *told: object, code: int = 0) -> Any:
    answer = quayline(*told, "--json")
    assert answer.exit_code == code, answer.stderr
    return json.loads(answer.stdout)


def test_call_prints_what_the_service_returns(quayline: Quayline) -> None:
    told = quayline("service", "run", "test", "text", "count", "--input", '{"text": "a b"}')
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout) == {"words": 2}
    assert told.stderr == ""
    [job] = told_by(quayline, "jobs")
    assert (job["kind"], job["state"]) == ("service", "succeeded")
    listed = quayline("service", "list").stdout
    assert "count, count_later, misfit" in listed
    assert "Counts words." in listed
    names = [(each["mode"], each["name"]) for each in told_by(quayline, "service", "list")]
    assert ("test", "heavy") in names


def test_nothing_is_offered_before_a_worker_was_there(quayline: Quayline) -> None:
    assert "No worker" in quayline("service", "list").stderr
    assert told_by(quayline, "service", "list") == []


def test_call_is_told_whole_as_json(quayline: Quayline, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"a": 1}')
    told = told_by(
        quayline,
        *("service", "run", "test", "any", "echo", "--input", f"@{tmp_path / 'in.json'}"),
        *("--context", '{"language": "zh"}', "--user", "user_123", "--step", "4"),
    )
    assert told["result"] == {"input": {"a": 1}, "context": "zh", "user": "user_123"}
    assert (told["status"], told["task"], told["step"]) == ("COMPLETED", "echo", 4)


def test_progress_and_output_are_told_as_they_come(quayline: Quayline) -> None:
    told = quayline("service", "run", "test", "any", "tell", "--follow")
    assert told.exit_code == 0, told.stderr
    assert "COMPLETED, 50%, half" in told.stderr
    assert told.stderr.endswith("Hello, world\n")
    assert "folder" in json.loads(told.stdout)


@pytest.mark.parametrize(
    ("call", "code", "why"),
    [
        (("any", "fail"), 1, "Error: ValueError: It did not work (error)"),
        (("none", "x"), 2, "(bad_request)"),
        (("stubborn", "sleep"), 1, "(time_limit)"),
    ],
)
def test_call_that_fails_says_why_and_has_the_exit_code(
    quayline: Quayline, call: tuple[str, str], code: int, why: str
) -> None:
    told = quayline("service", "run", "test", *call)
    assert (told.exit_code, told.stdout) == (code, ""), told.stderr
    assert why in told.stderr


def test_call_for_each_input_is_a_table(quayline: Quayline) -> None:
    told = quayline(
        *("service", "run", "test", "text", "count", "--inputs", "@-"),
        stdin='[{"text": "a"}, {"text": "b c"}, {"text": 7}]',
    )
    assert told.exit_code == 1, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == 4
    assert '{"words": 2}' in lines[2]
    assert "failed" in lines[3]
    found = told_by(
        *(quayline, "service", "run", "test", "text", "count"),
        *("--inputs", '[{"text": "a"}, {"text": "b c"}]'),
    )
    assert [each["result"] for each in found["result"]] == [{"words": 1}, {"words": 2}]


def test_call_is_left_to_others_and_waited_for(quayline: Quayline) -> None:
    told = quayline(
        *("service", "run", "test", "any", "echo", "--no-wait", "--label", "a=b"),
        *("--priority", "9", "--owner", "ann", "--key", "k", "--heavy"),
    )
    job_id = told.stdout.strip()
    # Nobody was there yet who knows it.
    assert told.stderr == "No worker has offered test/any yet; none is known.\n"
    job = told_by(quayline, "show", job_id)
    assert (job["kind"], job["state"], job["priority"]) == ("heavy_service", "pending", 9)
    assert (job["labels"], job["owner"]) == ({"a": "b"}, "ann")
    waited = quayline("wait", job_id, "--quiet")
    assert waited.exit_code == 0, waited.stderr
    assert json.loads(waited.stdout)["input"] == {}


def test_template_of_a_call_is_waited_for(quayline: Quayline, tmp_path: Path) -> None:
    body = {
        "kind": "service",
        "parameters": {
            **{"mode": "test", "service": "text", "task": "count"},
            "input": {"text": "${who} says hello"},
        },
        "variables": {"who": {}},
    }
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(body))
    assert quayline("template", "create", "hello", path).exit_code == 0
    told = quayline("template", "submit", "hello", "--var", "who=Ann", "--wait", "--quiet")
    assert told.exit_code == 0, told.stderr
    assert '{\n  "words": 3\n}' in told.stdout


@pytest.mark.parametrize(
    ("told", "option", "why"),
    [
        ("{", "--input", "no JSON"),
        ("[1]", "--input", "takes an object"),
        ("{}", "--inputs", "a list of objects"),
        ("[1]", "--inputs", "a list of objects"),
        ("@none.json", "--input", "No such file"),
    ],
)
def test_what_is_no_input_is_refused_in_a_sentence(told: str, option: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        services.document(told, option)
