"""The figures of ``dramatiq actors``: one address for all processes of a fleet, whatever dies."""

import os
import signal

import httpx
import psutil
import pytest

from pipeline.exposition import _all_fleets
from tests.support.faults import Fleet
from tests.support.servers import free_port
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(120)


def figures(port: int) -> dict[str, float]:
    """Return the figures at that port, none where nobody listens."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.HTTPError:
        return {}
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_port_of_another_is_taken_over_when_it_is_free(fleet: Fleet) -> None:
    port = free_port()
    fleet.settings = fleet.settings.model_copy(update={"worker_metrics_port": port})
    first, second = fleet.worker("first", processes=2), fleet.worker("second")
    with running(first, second):
        eventually(lambda: figures(port), within_s=30, what="one tells its figures")
        loser, winner = (
            (first, second) if figures(port)["quayline_worker_processes"] == 1 else (second, first)
        )
        eventually(lambda: loser.said("Nobody can read"), within_s=30, what="it is told")
        number = loser.processes
        fleet.submit(40)
        fleet.settled(within_s=30)
        # A killed master leaves its children behind: what answers for them ends by itself.
        os.kill(winner.pid, signal.SIGKILL)

        def is_taken_over() -> bool:
            return figures(port).get("quayline_worker_processes") == number

        eventually(is_taken_over, within_s=30, what="the other's figures are told")


def test_counters_of_a_killed_process_stay_and_what_it_had_in_work_goes(fleet: Fleet) -> None:
    port = free_port()
    fleet.settings = fleet.settings.model_copy(
        update={"worker_metrics_port": port, "batch_tasks": 1}
    )
    worker = fleet.worker(processes=2, threads=2)
    in_work = 'dramatiq_messages_inprogress{actor_name="work_trivial",queue_name="trivial_work"}'
    done = 'quayline_tasks_ended_total{kind="trivial",reason="",state="succeeded"}'
    with running(worker, fleet.scheduler()):
        fleet.submit(8, slow={7: 60.0})
        eventually(lambda: figures(port).get(done) == 7, within_s=40, what="seven have ended")
        assert figures(port)[in_work] == 1
        # The master does not notice: the figures are read on beside the dead.
        psutil.Process(worker.pid).suspend()
        for pid in filter(_counts, worker.worker_pids()):
            os.kill(pid, signal.SIGKILL)

        def is_forgotten() -> bool:
            told = figures(port)
            return told.get("quayline_worker_processes", 0) == 0 and told.get(in_work, 0) == 0

        eventually(is_forgotten, within_s=20, what="nobody works")
        assert figures(port)[done] == 7


def _counts(pid: int) -> bool:
    """Tell whether the process is one that counts, and not the one that tells."""
    return any(_all_fleets().glob(f"*/counter_{pid}.db"))
