"""Commands on jobs: submit, jobs, show, wait, cancel, retry, report, sweep."""

import json
import uuid

import pytest


@pytest.fixture
def submitted(quayline, here) -> str:
    """The id of a job that nobody has worked on."""
    result = quayline("submit", "b", "-d", "ansi")
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def ended(quayline, submitted) -> str:
    """The id of a job that has ended with violations."""
    assert quayline("wait", submitted, "-q").exit_code == 1
    return submitted


def states(quayline, *told) -> list[str]:
    return [job["state"] for job in json.loads(quayline("jobs", "--json", *told).stdout)]


def test_submit_prints_only_the_id_and_says_that_nothing_works_yet(quayline, here):
    result = quayline("submit", "b", "-d", "ansi")
    assert uuid.UUID(result.stdout.strip()).version == 7
    assert "waits until `quayline run` or `quayline wait`" in result.stderr
    assert states(quayline) == ["pending"]


def test_the_same_idempotency_key_is_the_same_job(quayline, here):
    told = ("submit", "b", "-d", "ansi", "--idempotency-key", "k")
    assert quayline(*told).stdout == quayline(*told).stdout
    other = quayline("submit", "a", "-d", "ansi", "--idempotency-key", "k")
    assert other.exit_code == 2
    assert "was used for another request" in other.stderr


def test_submit_keeps_owner_labels_and_priority(quayline, here):
    told = ("--owner", "ann", "--label", "team=x", "--label", "empty=", "--priority", "7")
    job_id = quayline("submit", "a", *told).stdout.strip()
    shown = json.loads(quayline("show", job_id, "--json").stdout)
    assert (shown["owner"], shown["priority"]) == ("ann", 7)
    assert shown["labels"] == {"team": "x", "empty": ""}


def test_wait_does_the_work_at_once_and_ends_as_lint_does(quayline, submitted):
    result = quayline("wait", submitted, "--timeout", 20)
    assert result.exit_code == 1, result.output
    assert "Gate (fail on any): FAILED." in result.stdout
    assert states(quayline) == ["succeeded"]


def test_wait_gives_up_after_its_timeout(quayline, submitted, engine, monkeypatch):
    monkeypatch.setattr("pipeline.producer.Client.start", lambda _self: None)
    result = quayline("wait", submitted, "--timeout", 0.2)
    assert result.exit_code == 2
    assert "The job is still pending after 0.2 s." in result.stderr


def test_jobs_lists_the_newest_first_as_plain_columns(quayline, ended):
    quayline("submit", "a")
    result = quayline("jobs")
    head, newest, oldest = result.stdout.splitlines()
    assert head.split() == ["JOB", "STATE", "DONE", "AGE", "GATE", "SOURCE"]
    assert "pending" in newest
    assert oldest.startswith(ended)
    assert "failed" in oldest


def test_jobs_can_be_chosen_by_state_and_number(quayline, ended):
    quayline("submit", "a")
    assert states(quayline, "--state", "pending") == ["pending"]
    assert states(quayline, "--limit", 1) == ["pending"]
    assert quayline("jobs", "--state", "lost").exit_code == 2


def test_no_jobs_are_said_on_stderr(quayline, here):
    result = quayline("jobs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "There are no jobs.\n"


def test_show_tells_verdict_and_history(quayline, ended):
    result = quayline("show", ended, "--events")
    assert "State:       succeeded" in result.stdout
    assert "Gate (fail on any): FAILED." in result.stdout
    assert "· → pending" in result.stdout
    assert "2 tasks" in result.stdout
    document = json.loads(quayline("show", ended, "--events", "--json").stdout)
    assert document["result"]["verdict"]["failed"] is True
    assert document["events"][0]["to_state"] == "pending"


@pytest.mark.parametrize("command", ["show", "wait", "cancel", "retry", "report"])
@pytest.mark.parametrize("job_id", ["nonsense", str(uuid.UUID(int=7))])
def test_a_job_that_is_not_there_is_a_sentence_and_code_2(quayline, here, command, job_id):
    result = quayline(command, job_id)
    assert result.exit_code == 2
    assert job_id in result.stderr
    assert result.stdout == ""


def test_cancel_ends_what_waits_and_says_when_it_was_late(quayline, submitted):
    assert quayline("cancel", submitted).stdout == f"{submitted} is cancelled.\n"
    assert states(quayline) == ["cancelled"]
    again = quayline("cancel", submitted)
    assert again.exit_code == 0
    assert "had ended or was cancelled before (cancelled)" in again.stdout


def test_a_cancelled_job_ends_wait_with_code_2(quayline, submitted):
    quayline("cancel", submitted)
    result = quayline("wait", submitted)
    assert result.exit_code == 2
    assert "cancelled" in result.stderr


def test_retry_makes_a_new_job_that_reuses_what_was_reached(quayline, ended, engine):
    engine.works.clear()
    result = quayline("retry", ended, "--wait", "-q")
    assert result.exit_code == 1
    assert result.stdout.strip() != ended
    assert engine.works == []


def test_retry_without_wait_only_submits(quayline, ended):
    result = quayline("retry", ended)
    assert result.exit_code == 0
    assert "waits until" in result.stderr
    assert states(quayline) == ["pending", "succeeded"]


def test_an_open_job_cannot_be_retried(quayline, submitted):
    result = quayline("retry", submitted)
    assert result.exit_code == 2
    assert "only an ended job" in result.stderr


def test_report_writes_any_format_of_an_ended_job(quayline, ended, tmp_path):
    assert json.loads(quayline("report", ended, "-f", "json").stdout)["job"]["id"] == ended
    assert "== [b/dirty.sql] FAIL" in quayline("report", ended).stdout
    (tmp_path / "out").mkdir()
    quayline("report", ended, "-f", "sarif", "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.sarif").read_text())["runs"]


def test_an_open_job_has_no_report_and_the_file_stays_as_it_was(quayline, submitted, tmp_path):
    (tmp_path / "x.json").write_text("before")
    result = quayline("report", submitted, "-f", "json", "-o", tmp_path / "x.json")
    assert result.exit_code == 2
    assert (tmp_path / "x.json").read_text() == "before"
    assert [each.name for each in tmp_path.glob(".quayline-*")] == []


def test_sweep_prints_what_it_did(quayline, submitted):
    result = quayline("sweep")
    assert result.exit_code == 0
    assert "lost tasks: 0" in result.stdout


def test_container_job_that_is_waited_for_is_told_as_one(quayline, tmp_path) -> None:
    told = {"task_name": "a", "task_type": "custom", "docker_image": "data-collection-a:latest"}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"kind": "container", "parameters": told}))
    quayline("template", "create", "a", path)
    job_id = quayline("template", "submit", "a").stdout.strip()
    quayline("cancel", job_id)
    waited = quayline("wait", job_id, "--quiet")
    assert (waited.exit_code, "(cancelled)" in waited.stderr) == (1, True), waited.stderr
