"""Jobs of steps, and calls of services, while everything else is killed: each step runs after what
it needs, what was in vain is not begun, and all of it is counted once."""

import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.kinds.service import folders
from tests.chaos.conftest import Form, told
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.servers import Postgres, Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Census, Process, Worker, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

STEPS = 40
SKIPPED = "cancelled/need_failed"
#: An end that no other run mends.
BAD = "bad_request"


class Graph:
    """Steps that need one another at random, some of which end badly."""

    def __init__(self, chance: random.Random) -> None:
        self.needs = {
            seq: chance.sample(range(seq), min(seq, chance.randint(0, 3)))
            for seq in range(1, STEPS)
        }
        self.always = [seq for seq in range(STEPS) if chance.random() < 0.3]
        self.bad = {seq: BAD for seq in range(STEPS) if chance.random() < 0.1}

    def parameters(self) -> dict[str, Any]:
        """Return what the job is submitted with."""
        told = {"needs": self.needs, "always": self.always, "bad": self.bad}
        return {"tasks": STEPS, "pause_s": 0.05, **told}

    def wanted(self) -> Wanted:
        """Return how its steps have to end, by what they need."""
        ends: dict[int, str] = {}
        for seq in range(STEPS):
            is_in_vain = seq not in self.always and any(
                need in ends for need in self.needs.get(seq, [])
            )
            if is_in_vain:
                ends[seq] = SKIPPED
            elif seq in self.bad:
                ends[seq] = f"failed/{BAD}"
        return Wanted(STEPS, ends)


@contextmanager
def at_work(fleet: Fleet, *, module: str) -> Iterator[tuple[list[Worker], Process, Census]]:
    """Two workers and a scheduler, started again whenever they end."""
    workers = [fleet.worker(name, module=module, threads=2) for name in ("one", "two")]
    clock = fleet.scheduler()
    census = Census(*workers, clock)
    with supervised(*workers, clock):
        for worker in workers:
            worker.ready()
        yield workers, clock, census
        census.take()
    assert census.left() == []


def suffer(
    fleet: Fleet, faults: list[Callable[[], object]], census: Census, *, after_each: int
) -> None:
    """Let the faults happen one after the other, each when more tasks have ended."""
    for number, fault in enumerate(faults, start=1):
        ended_at_least(fleet, number * after_each)
        census.take()
        with suppress(ProcessLookupError, IndexError):
            fault()


def ended_at_least(fleet: Fleet, number: int) -> None:
    def enough() -> bool:
        with psycopg.connect(fleet.settings.database) as connection:
            rows = connection.execute(
                "SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL"
            ).fetchall()
        return bool(rows[0][0] >= number)

    def is_so() -> bool:
        with suppress(psycopg.OperationalError):
            return enough()
        return False

    eventually(is_so, within_s=90, what=f"{number} tasks ended", every_s=0.1)


def kill_a_process(workers: list[Worker], chance: random.Random) -> None:
    pids = [pid for worker in workers for pid in worker.worker_pids()]
    os.kill(chance.choice(pids), signal.SIGKILL)


def out_of_order(fleet: Fleet) -> int:
    """Count the steps that were begun before something that they need had ended."""
    with psycopg.connect(fleet.settings.database) as connection:
        [(number,)] = connection.execute(
            "SELECT count(*) FROM needs n"
            " JOIN tasks t ON t.job_id = n.job_id AND t.seq = n.seq"
            " JOIN tasks m ON m.job_id = n.job_id AND m.seq = n.needs_seq"
            " WHERE t.started_at < m.finished_at"
        ).fetchall()
    return int(number)


def test_steps_run_in_order_and_once_whatever_is_killed(
    mortal_fleet: Fleet, postgres_cluster: Postgres, rabbit_node: Rabbit, form: Form
) -> None:
    fleet, chance = mortal_fleet, random.Random(7)
    # A lost worker strikes all that it had, and this is about steps.
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20})
    rounds = form.of(1, 8)
    with at_work(fleet, module="tests.support.trivial.actors") as (workers, clock, census):
        for _ in range(6 * rounds):
            graph = Graph(chance)
            job_id = jobs.submit(Submission(kind="trivial", parameters=graph.parameters()))
            fleet.accepted[str(job_id)] = graph.wanted()
        one_round: list[Callable[[], object]] = [
            lambda: kill_a_process(workers, chance),
            postgres_cluster.restart,
            lambda: kill_a_process(workers, chance),
            rabbit_node.restart,
            lambda: os.kill(clock.pid, signal.SIGKILL),
            lambda: rabbit_node.delete_queues(("trivial_work",)),
            lambda: os.kill(chance.choice(workers).pid, signal.SIGKILL),
        ]
        suffer(fleet, one_round * rounds, census, after_each=24)
        found = fleet.settled(within_s=90 * rounds)
    assert out_of_order(fleet) == 0
    told(found, "steps", faults=len(one_round) * rounds)


def test_calls_go_on_from_their_checkpoints_whatever_is_killed(
    mortal_fleet: Fleet,
    postgres_cluster: Postgres,
    rabbit_node: Rabbit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet, chance = mortal_fleet, random.Random(11)
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": 20})
    fleet.more_env["QUAYLINE_SERVICE_MODULES"] = "tests.support.offers"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    fleet.more_env["TMPDIR"] = str(temporary)
    with at_work(fleet, module="actors") as (workers, _, census):
        for number in range(4):
            submit_calls(fleet, tmp_path / f"call-{number}")
        faults: list[Callable[[], object]] = [
            lambda: kill_a_process(workers, chance),
            postgres_cluster.restart,
            lambda: kill_a_process(workers, chance),
            rabbit_node.restart,
            lambda: os.kill(workers[0].pid, signal.SIGKILL),
        ]
        suffer(fleet, faults, census, after_each=2)
        found = fleet.settled(within_s=120)
    assert out_of_order(fleet) == 0
    again = [done_again(path) for path in tmp_path.glob("call-*")]
    assert len(again) == 4 * 4
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    left = folders.tidy(grace_s=0)
    found.leftovers = len(list(temporary.iterdir()))
    told(found, "calls", faults=len(faults), done_again=sum(again), folders_tidied=left)


def submit_calls(fleet: Fleet, path: Path) -> None:
    """Submit three long calls, and a short one that takes from two of them."""
    call = {"mode": "test", "service": "heavy", "task": "steps"}
    steps = [
        {**call, "name": name, "input": {"steps": 12, "path": f"{path}-{name}", "pause_s": 0.1}}
        for name in ("a", "b", "c")
    ]
    taken = [{"$from": "a", "path": "attempt"}]
    given = {"steps": 2, "path": f"{path}-last", "attempts": taken}
    last = {**call, "name": "last", "needs": ["a", "b"], "input": given}
    job_id = jobs.submit(Submission(kind="heavy_service", parameters={"steps": [*steps, last]}))
    fleet.accepted[str(job_id)] = Wanted(4)


def done_again(path: Path) -> int:
    """Count the steps that were done more than once; each was done, and the last one last."""
    done = [int(line.partition(":")[2]) for line in path.read_text().splitlines()]
    assert set(done) == set(range(max(done) + 1))
    assert done[-1] == max(done)
    return len(done) - len(set(done))
