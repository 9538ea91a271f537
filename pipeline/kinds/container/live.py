"""What is new of containers: how each ended, and what those that run say in their heartbeats."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.core import documents
from pipeline.core.live.news import TASK_COLUMNS, TaskNews, Wish
from pipeline.store.database import as_json, dialect, execute

_COLUMNS = (
    f"r.n, {TASK_COLUMNS},"
    " COALESCE(t.finished_at, e.heartbeat_at, t.started_at), e.status, e.progress, e.result"
)
_ASKED = {"n": "int", "job": "uuid"}


def live(wishes: Sequence[Wish]) -> list[list[TaskNews]]:
    """Return what is new of the containers of each wish. A job has one: it is told each time, and
    the viewer knows what it was told before."""
    told: list[list[TaskNews]] = [[] for _ in wishes]
    asked = [{"n": n, "job": wish.job_id.hex} for n, wish in enumerate(wishes)]
    source = f"{dialect().rows(_ASKED)} JOIN tasks t ON t.job_id = r.job"
    rows = execute(
        f"SELECT {_COLUMNS} FROM {source} LEFT JOIN executions e ON e.task_id = t.id",
        as_json(asked),
    )
    for n, *row in rows:
        told[n].append(_news(row))
    return told


def _news(row: Sequence[Any]) -> TaskNews:
    *known, status, progress, result = row
    news, shown = TaskNews.of_row(known), documents.loaded(progress or "{}")
    return replace(
        news,
        task=news.name,
        details=shown if status is None else {**shown, "container_status": status},
        result=None if result is None else documents.loaded(result),
    )
