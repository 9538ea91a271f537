"""The producer library in a process of its own, against servers that are there and that are not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import Settings
from tests.support.faults import Fleet
from tests.support.workers import ROOT, environment

pytestmark = pytest.mark.timeout(120)

HEAVY = (
    "sqlfluff",
    "prometheus_client",
    "opentelemetry",
    "sqlfluffrs",
    "docker",
    "apscheduler",
    "actors",
)


def run(code: str, settings: Settings) -> Any:
    """Run the code in a process of its own; return the JSON that it printed last."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LOADED = f"""
import json, sys
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r}))))
"""

SUBMIT = """
from pipeline import Client
with Client() as client:
    job = client.lint({"a.sql": b"SELECT 1\\n"}, dialect="ansi")
    assert job.status == "pending", job.status
    assert client.job(job.id).progress().total == 0
"""


def test_import_and_submission_load_no_worker_code(fleet: Fleet) -> None:
    assert run("import pipeline\n" + LOADED, fleet.settings) == []
    assert run("from pipeline import Client\n" + LOADED, fleet.settings) == []
    assert run(SUBMIT + LOADED, fleet.settings) == []


def test_submission_to_a_broker_that_is_away_is_kept_and_quick(
    tmp_path: Path, database: str, silent_url: str
) -> None:
    code = """
import json, time
from pipeline import Client
with Client() as client:
    began = time.monotonic()
    job = client.lint({"a.sql": b"SELECT 1\\n"}, dialect="ansi")
    took_s = time.monotonic() - began
    print(json.dumps([job.status, took_s]))
"""
    for url in ("amqp://127.0.0.1:1/", silent_url):
        settings = Settings(
            state_dir=tmp_path, database_url=database, broker_url=url, broker_timeout_s=1
        )
        status, took_s = run(code, settings)
        assert status == "pending"
        assert took_s < 4


def test_database_that_is_away_is_typed_and_quick(tmp_path: Path, vhost: str) -> None:
    code = """
import json, time
from pipeline import Client
from pipeline.errors import DatabaseUnavailable
began = time.monotonic()
try:
    Client()
except DatabaseUnavailable as error:
    print(json.dumps([str(error), time.monotonic() - began]))
"""
    settings = Settings(
        state_dir=tmp_path,
        database_url="postgresql://nobody@127.0.0.1:1/nothing",
        broker_url=vhost,
        database_timeout_s=2,
    )
    told, took_s = run(code, settings)
    assert "\n" not in told
    assert took_s < 6


def test_client_that_was_closed_can_be_opened_again(tmp_path: Path) -> None:
    """Embedded, in one process, as a notebook or a test suite does."""
    code = """
import json
from pipeline import Client
told = []
for number in range(2):
    with Client() as client:
        job = client.lint({f"{number}.sql": b"SELECT 1 AS a\\n"}, dialect="ansi").wait(timeout_s=40)
        told.append(job.status)
print(json.dumps(told))
"""
    assert run(code, Settings(state_dir=tmp_path)) == ["succeeded", "succeeded"]


def test_processes_that_start_together_on_an_empty_database_migrate_it_once(
    tmp_path: Path, database: str, vhost: str
) -> None:
    settings = Settings(state_dir=tmp_path, database_url=database, broker_url=vhost)
    code = "from pipeline import Client\nwith Client() as client: print(len(client.jobs()))"
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            env=environment(settings),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(5)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["0\n"] * 5
