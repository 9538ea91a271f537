"""What the dispatcher reads is a matter of the jobs that are open, not of the tasks that wait."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import dispatch as dispatching
from pipeline.core.context import Context, close_context, open_context
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.support.factories import planned_job

JOBS, TASKS, WINDOW = 12, 1500, 4


@pytest.fixture
def crowded(tmp_path: Path, database: str) -> Iterator[Context]:
    """A context on a fresh PostgreSQL database whose statistics know of no task yet."""
    opened = open_context(Settings(state_dir=tmp_path, database_url=database, window=WINDOW))
    for _ in range(JOBS):
        planned_job(opened, tasks=TASKS)
    yield opened
    close_context()


def test_dispatch_reads_few_tasks_before_statistics_know_of_them(
    crowded: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def heard(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        asked.append((sql, parameters))
        return execute(sql, *parameters)

    monkeypatch.setattr(dispatching, "execute", heard)
    # As if everything sent had been closed: the whole window is free.
    with session():
        execute("UPDATE tasks SET hinted_at = NULL, batch = NULL")
    assert dispatching.dispatch("trivial", crowded) == WINDOW
    looks = [each for each in asked if each[0].startswith("SELECT")]
    assert len(looks) >= 3
    read = {sql: _tasks_read(sql, parameters) for sql, parameters in looks}
    assert max(read.values()) <= WINDOW * crowded.settings.batch_tasks, read


def _tasks_read(sql: str, parameters: tuple[Any, ...]) -> int:
    """Return how many rows of tasks PostgreSQL looked at to answer the statement."""
    with session():
        [(plan,)] = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *parameters)
    return _of_node(plan[0]["Plan"])


def _of_node(node: dict[str, Any]) -> int:
    below = sum(_of_node(each) for each in node.get("Plans", ()))
    if node.get("Relation Name") != "tasks":
        return below
    looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return below + round(looked_at * node["Actual Loops"])
