"""What workers and scheduler log: one JSON object a line, with the job's and the tasks' ids."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil

from pipeline import Client
from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.upkeep import chores
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.servers import free_port
from tests.support.waiting import eventually
from tests.support.workers import Process, running

BOMB = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}\n"
OF_JOBS = {"expand_archive", "lint_files", "finish_job"}
ABOUT_TASKS = {"A task's run ended badly", "A worker was lost"}


def lines(log: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; each must be a JSON object."""
    told = []
    for line in log.read_text().splitlines():
        try:
            told.append(json.loads(line))
        except ValueError:
            raise AssertionError(f"{log.name} has a line that is not JSON: {line!r}") from None
    return told


def test_every_line_is_json_and_says_which_job_and_task(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(
        update={
            **{"lint_time_limit_s": 1.0, "log_level": "debug", "log_format": "json"},
            "worker_metrics_port": free_port(),
        }
    )
    command = [sys.executable, "-m", "pipeline.cli", "worker", "-p", "2", "-t", "2"]
    worker = Process("worker", command, fleet.env, fleet.logs)
    scheduler = fleet.scheduler()
    with Client(fleet.settings) as client, running(worker, scheduler):
        files = {f"{n}.sql": f"SELECT {n}\n".encode() for n in range(40)}
        job = client.lint({**files, "bomb.sql": BOMB}, dialect="ansi", cache=False)
        fleet.accepted[job.id] = Wanted(41, {40: "timed_out/time_limit"})
        eventually(lambda: job.progress().done >= 20, within_s=60)
        # The one that lints the bomb, or its neighbour.
        master = psutil.Process(worker.pid).children()[0]
        os.kill(master.children()[-1].pid, signal.SIGKILL)
        found = fleet.settled(within_s=90)
        worker.signal(signal.SIGTERM)
        worker.wait()
        scheduler.signal(signal.SIGTERM)
        scheduler.wait()
    assert found.lost == found.doubled == found.unexpected == 0, found.line("logs")
    told = [*lines(worker.log_path), *lines(scheduler.log_path)]
    assert {"Worker process is ready for action."} <= {line["event"] for line in told}
    # A chore may be due meanwhile: its messages are about no job.
    of_no_job = {chore.name for chore in chores()}
    for line in told:
        assert {"time", "level", "logger", "event"} <= line.keys(), line
        is_about_one = "message_id" in line and line["actor"] not in of_no_job
        if is_about_one or line["event"] in ABOUT_TASKS:
            assert line.get("job_id") == job.id, line
        if line["event"] in ABOUT_TASKS:
            assert line.get("task_id") or line.get("task_ids"), line
    assert ABOUT_TASKS & {line["event"] for line in told}
    assert {line.get("actor") for line in told if "message_id" in line} >= OF_JOBS
    assert any(line.get("task_ids") for line in told)


def test_traceback_of_a_message_says_which_job(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"log_format": "json"})
    worker = fleet.worker()
    with running(worker):
        parameters = {"tasks": 3, "bad": {1: "no reason at all"}}
        job_id = jobs.submit(Submission(kind="trivial", parameters=parameters))
        eventually(lambda: worker.said("Traceback"), within_s=30)
    wrong = [line for line in worker.log_path.read_text().splitlines() if "Traceback" in line]
    assert {json.loads(line)["job_id"] for line in wrong} == {str(job_id)}
