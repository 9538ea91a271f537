"""``quayline worker`` on real servers: roles share a job, and processes are replaced under load."""

import signal
import sys

import psutil
import psycopg
import pytest

from pipeline import Client
from pipeline.core import jobs
from tests.support import submitter
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import READY, Process, running

pytestmark = pytest.mark.timeout(180)

FILES = 60
REPLACED = "A worker process is replaced"


def worker(fleet: Fleet, name: str, *told: str) -> Process:
    """Return ``quayline worker``, not yet started."""
    command = [sys.executable, "-m", "pipeline.cli", "worker", *told]
    return Process(name, command, fleet.env, fleet.logs)


def attempts(fleet: Fleet) -> list[int]:
    """Return the attempts of all tasks, each once."""
    with psycopg.connect(fleet.settings.database) as connection:
        rows = connection.execute("SELECT DISTINCT attempt FROM tasks ORDER BY attempt")
        return [number for (number,) in rows]


def submit(fleet: Fleet, client: Client) -> None:
    """Submit a job of small files."""
    job = client.lint(submitter.files(FILES, "000"), dialect="ansi", cache=False)
    fleet.accepted[job.id] = Wanted(FILES)


def test_roles_share_a_job_each_by_its_queues(fleet: Fleet) -> None:
    lint = worker(fleet, "lint", "--role", "lint", "-p", "1")
    light = worker(fleet, "light", "--role", "light")
    with Client(fleet.settings) as client, running(lint, fleet.scheduler()):
        submit(fleet, client)
        job_id = next(iter(fleet.accepted))
        eventually(lambda: fleet.recount().succeeded == FILES, within_s=60)
        assert jobs.get(job_id).finished_at is not None
        # Its reports are a message of `monitoring`, which the lint role leaves to others.
        assert fleet.recount().terminal == 0
        with running(light):
            found = fleet.settled(within_s=60)
        lint.signal(signal.SIGTERM)
        assert lint.wait() == 0
    assert found.sound, found.line("roles")


@pytest.mark.parametrize("measure", ["messages", "memory_bytes"])
def test_process_over_its_measure_is_replaced_and_nothing_is_lost_or_run_again(
    fleet: Fleet, measure: str
) -> None:
    option = {
        "messages": ("--max-tasks-per-child", "2"),
        # Less than it has when it has just begun: it ends after its first message.
        "memory_bytes": ("--max-memory-per-child", str(16 << 20)),
    }[measure]
    calm = {"lease_s": 20.0, "hint_again_s": 20.0, "batch_tasks": FILES // 6}
    fleet.settings = fleet.settings.model_copy(update=calm)
    service = worker(fleet, "service", "-p", "2", "-t", "2", *option)
    with Client(fleet.settings) as client, running(service, fleet.scheduler()):
        submit(fleet, client)
        found = fleet.settled(within_s=90)
        eventually(lambda: service.said(READY) > 2, within_s=30, what="one is ready again")
        family = service.family()
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        assert psutil.wait_procs(family, timeout=10)[1] == []
    said = service.log_path.read_text()
    assert found.sound, found.line(measure)
    assert said.count(REPLACED) >= 2
    assert f'"{measure}"' in said
    assert "Shutting down..." in said
    assert "unexpectedly" not in said
    assert attempts(fleet) == [1]
