"""Services on RabbitMQ and PostgreSQL: limits over several workers, and workers that are lost."""

import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.errors import DatabaseUnavailable
from pipeline.kinds.service import finish
from pipeline.store.database import execute, session
from tests.support.faults import Fleet
from tests.support.servers import Postgres, drop_broken_connections
from tests.support.waiting import eventually
from tests.support.workers import Process, running

pytestmark = pytest.mark.timeout(120)

QUEUES = ("fast_tasks", "heavy_tasks", "monitoring")


@pytest.fixture
def served(fleet: Fleet) -> Fleet:
    """A deployment whose workers know the services of the tests."""
    fleet.more_env["QUAYLINE_SERVICE_MODULES"] = "tests.support.offers"
    return fleet


def fleet_of_two(served: Fleet) -> list[Process]:
    workers = [served.worker(name, queues=QUEUES) for name in ("one", "two")]
    return [*workers, served.scheduler()]


def submit(service: str, task: str, *, kind: str = "service", **told: Any) -> uuid.UUID:
    parameters = {"mode": "test", "service": service, "task": task, **told}
    return jobs.submit(Submission(kind=kind, parameters=parameters))


def ended(job_id: uuid.UUID, *, within_s: float = 60) -> dict[str, Any]:
    """Return the job's result, once it stands."""

    def is_finalized() -> bool:
        return jobs.get(job_id).finalized_at is not None

    eventually(is_finalized, within_s=within_s, what="the job has ended", every_s=0.1)
    return finish.result(jobs.get(job_id))


def lines(path: Path, number: int) -> Callable[[], bool]:
    return lambda: path.exists() and len(path.read_text().splitlines()) >= number


def strikes(job_id: uuid.UUID) -> int:
    with session():
        [(told,)] = execute("SELECT sum(strikes) FROM tasks WHERE job_id = %s", job_id.hex)
    return int(told)


def test_no_more_calls_than_allowed_go_on_over_two_workers(served: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    inputs = [{"folder": str(folder), "seconds": 0.2}] * 24
    with running(*fleet_of_two(served)):
        told = ended(submit("narrow", "enter", inputs=inputs))
    assert told["status"] == "completed"
    seen = [line.split() for line in (folder / "seen").read_text().splitlines()]
    assert len(seen) == 24
    assert max(int(inside) for _, inside in seen) == 2
    assert len({pid for pid, _ in seen}) == 2
    with session():
        assert execute("SELECT count(*) FROM service_slots") == [(0,)]


def test_rate_holds_over_two_workers(served: Fleet) -> None:
    with running(*fleet_of_two(served)):
        told = ended(submit("slowed", "call", inputs=[{}] * 30))
    at = sorted(each["result"]["at"] for each in told["tasks"])
    # A call may begin a little late, never early.
    assert all(at[place + 10] - at[place] > 0.8 for place in range(20)), at
    assert at[-1] - at[0] > 2.7


def test_retry_after_holds_for_every_worker(served: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "calls"
    with running(*fleet_of_two(served)):
        first = submit("shared", "call", input={"path": str(path)})
        eventually(paused, within_s=30)
        rest = submit("shared", "call", inputs=[{"path": str(path)}] * 8)
        assert ended(first)["status"] == "completed"
        assert ended(rest)["status"] == "completed"
    at = [float(line) for line in path.read_text().splitlines()]
    assert len(at) == 10
    assert min(at[1:]) - at[0] >= 1.95
    assert strikes(first) == 0


def paused() -> bool:
    with session():
        return bool(execute("SELECT 1 FROM service_pauses"))


def test_heavy_call_of_a_killed_worker_goes_on_from_its_checkpoint(
    served: Fleet, tmp_path: Path
) -> None:
    path = tmp_path / "steps"
    first = served.worker("first", queues=QUEUES)
    told = {"steps": 12, "path": str(path), "pause_s": 0.4}
    with running(first):
        job_id = submit("heavy", "steps", kind="heavy_service", input=told)
        eventually(lines(path, 4), within_s=40)
        [child] = [each for each in first.family() if "service.child" in " ".join(each.cmdline())]
        first.kill()
        assert psutil.wait_procs([child], timeout=10)[1] == []
    with running(served.worker("second", queues=QUEUES), served.scheduler()):
        result = ended(job_id)
    assert result["result"] == {"attempt": 2}
    runs = [line.split(":") for line in path.read_text().splitlines()]
    again = [int(step) for run, step in runs if run == "2"]
    before = [int(step) for run, step in runs if run == "1"]
    # At most what came in the last moments is done twice.
    assert before[-1] - 1 <= again[0] <= before[-1] + 1
    assert again[-1] == 11
    assert strikes(job_id) == 1
    assert result["context"]["runs"] == 2
    assert result["context"]["models"]["small"]["calls"] >= 12


def test_heavy_call_of_a_stopped_worker_is_given_back_without_a_strike(
    served: Fleet, tmp_path: Path
) -> None:
    path = tmp_path / "steps"
    served.more_env["QUAYLINE_SERVICE_GRACE_S"] = "0.2"
    first = served.worker("first", queues=QUEUES)
    told = {"steps": 30, "path": str(path), "pause_s": 0.2}
    with running(first):
        job_id = submit("heavy", "steps", kind="heavy_service", input=told)
        eventually(lines(path, 3), within_s=40)
        first.signal(signal.SIGTERM)
        assert first.wait(within_s=10) == 0
    with running(served.worker("second", queues=QUEUES), served.scheduler()):
        result = ended(job_id)
    # The stopping worker may have been sent it again, and have given it back again.
    assert result["result"]["attempt"] >= 2
    assert strikes(job_id) == 0


def test_slot_of_a_killed_worker_lapses(served: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    first = served.worker("first", queues=QUEUES)
    with running(first):
        slow = submit("narrow", "enter", inputs=[{"folder": str(folder), "seconds": 30}] * 2)
        eventually(lambda: len(list(folder.glob("in-*"))) == 2, within_s=30)
        first.kill()
    jobs.cancel(slow, actor="ann")
    for mark in folder.glob("in-*"):
        mark.unlink()
    with running(served.worker("second", queues=QUEUES), served.scheduler()):
        began = time.monotonic()
        told = ended(submit("narrow", "enter", input={"folder": str(folder)}))
        assert time.monotonic() - began < 20
    assert told["result"] == {"inside": 1}


def test_light_call_of_a_killed_worker_is_made_again(served: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first = served.worker("first", queues=QUEUES)
    with running(first):
        job_id = submit("any", "wait", input={"path": str(path)})
        eventually(path.exists, within_s=30)
        first.kill()
        path.unlink()
    with running(served.worker("second", queues=QUEUES), served.scheduler()):
        eventually(path.exists, within_s=30)
        jobs.cancel(job_id, actor="ann")
        assert ended(job_id)["state"] == "cancelled"


def test_worker_says_at_its_start_what_it_offers(served: Fleet) -> None:
    def said() -> bool:
        with session():
            return bool(execute("SELECT 1 FROM services WHERE mode = 'test'"))

    with running(served.worker("first", queues=QUEUES)):
        eventually(said, within_s=20)


def test_database_that_restarts_under_calls_costs_none_of_them(
    mortal_fleet: Fleet, postgres_cluster: Postgres, tmp_path: Path
) -> None:
    mortal_fleet.more_env["QUAYLINE_SERVICE_MODULES"] = "tests.support.offers"
    folder, path = tmp_path / "inside", tmp_path / "steps"
    folder.mkdir()
    told = {"steps": 12, "path": str(path), "pause_s": 0.3}
    with running(*fleet_of_two(mortal_fleet)):
        heavy = submit("heavy", "steps", kind="heavy_service", input=told)
        light = submit("narrow", "enter", inputs=[{"folder": str(folder), "seconds": 0.3}] * 16)
        eventually(lines(path, 3), within_s=40)
        eventually(lines(folder / "seen", 2), within_s=40)
        postgres_cluster.restart()
        drop_broken_connections()
        assert ended_at_last(heavy)["status"] == "completed"
        assert ended_at_last(light)["status"] == "completed"
    seen = [int(line.split()[1]) for line in (folder / "seen").read_text().splitlines()]
    assert len(seen) >= 16
    assert max(seen) <= 2


def ended_at_last(job_id: uuid.UUID) -> dict[str, Any]:
    """Return the job's result, though the database goes and comes."""

    def result() -> dict[str, Any] | None:
        with suppress(DatabaseUnavailable):
            row = jobs.get(job_id)
            return finish.result(row) if row.finalized_at is not None else None
        return None

    found = eventually(result, within_s=60, what="the job has ended", every_s=0.2)
    assert found is not None
    return found
