"""What dispatch and sweep read is a matter of what is open, not of tasks that wait or ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import dispatch as dispatching
from pipeline.core import sweep as sweeping
from pipeline.core.context import Context, close_context, open_context
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.support.factories import claimed, close, planned_job

JOBS, TASKS, WINDOW = 12, 1500, 4
#: So many times four batches of 256 tasks are worked off; the blocks that a look may touch then. It
#: is 200 or so, and 19,000 where nothing that is over gets marked.
BATCH, ROUNDS, BLOCKS = 256, 12, 1000


@pytest.fixture
def crowded(tmp_path: Path, mortal_database: str) -> Iterator[Context]:
    """A context on a fresh PostgreSQL database whose statistics know of no task yet.

    On a cluster of its own: an open transaction anywhere in it keeps ended tasks in the indexes.
    """
    opened = open_context(
        Settings(state_dir=tmp_path, database_url=mortal_database, window=WINDOW, batch_tasks=BATCH)
    )
    for _ in range(JOBS):
        planned_job(opened, tasks=TASKS)
    yield opened
    close_context()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """What dispatch and sweep ask the database."""
    told: list[tuple[str, tuple[Any, ...]]] = []

    def heard(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        told.append((sql, parameters))
        return execute(sql, *parameters)

    monkeypatch.setattr(dispatching, "execute", heard)
    monkeypatch.setattr(sweeping, "execute", heard)
    return told


def test_dispatch_reads_few_tasks_before_statistics_know_of_them(
    crowded: Context, asked: list[tuple[str, tuple[Any, ...]]]
) -> None:
    # As if everything sent had been closed: the whole window is free.
    with session():
        execute("UPDATE tasks SET hinted_at = NULL, batch = NULL")
    assert dispatching.dispatch("trivial", crowded) == WINDOW
    looks = [each for each in asked if each[0].startswith("SELECT")]
    assert len(looks) >= 3
    read = {sql: _tasks_read(sql, parameters) for sql, parameters in looks}
    # PostgreSQL tells the rounded mean of its loops, of which there is one for each job.
    assert max(read.values()) <= WINDOW * BATCH + JOBS / 2, read


def test_ended_tasks_cost_dispatch_and_sweep_nothing_before_a_vacuum(
    crowded: Context, asked: list[tuple[str, tuple[Any, ...]]]
) -> None:
    for _ in range(ROUNDS):
        _work_off(crowded)
        dispatching.dispatch("trivial", crowded)
    asked.clear()
    sweeping.sweep(crowded)
    dispatching.dispatch("trivial", crowded)
    told = {sql: _explained(sql, parameters) for sql, parameters in asked if " tasks" in sql}
    assert len(told) >= 4
    # What is not walked entry by entry is read whole for ever: nobody marks what is over.
    ways = {way for root in told.values() for way in _ways(root)}
    assert ways == {"Index Scan"}
    blocks = {
        sql: root["Shared Hit Blocks"] + root["Shared Read Blocks"] for sql, root in told.items()
    }
    assert max(blocks.values()) <= BLOCKS, blocks


def _work_off(context: Context) -> None:
    """Claim and close what is in flight."""
    with session():
        rows = execute("SELECT id FROM jobs")
    for (job_id,) in rows:
        close(job_id, claimed(context, job_id))


def _explained(sql: str, parameters: tuple[Any, ...]) -> dict[str, Any]:
    with session():
        [(plan,)] = execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *parameters)
    root: dict[str, Any] = plan[0]["Plan"]
    return root


def _ways(node: dict[str, Any]) -> set[str]:
    """Return the ways by which the plan comes to rows of tasks."""
    below = {way for each in node.get("Plans", ()) for way in _ways(each)}
    if node.get("Relation Name") == "tasks" and node["Node Type"] != "ModifyTable":
        below.add(node["Node Type"])
    return below


def _tasks_read(sql: str, parameters: tuple[Any, ...]) -> int:
    """Return how many rows of tasks PostgreSQL looked at to answer the statement."""
    return _of_node(_explained(sql, parameters))


def _of_node(node: dict[str, Any]) -> int:
    below = sum(_of_node(each) for each in node.get("Plans", ()))
    if node.get("Relation Name") != "tasks":
        return below
    looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return below + round(looked_at * node["Actual Loops"])
