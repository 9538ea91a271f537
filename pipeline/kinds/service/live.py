"""What is new of calls: how each ended, and what those under way tell."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.core import documents
from pipeline.core.live.news import TASK_COLUMNS, TaskNews, Wish
from pipeline.store.database import as_json, dialect, execute
from pipeline.store.models import IN_FLIGHT, utc_value
from pipeline.store.results import unpacked

#: A larger result, packed, is fetched by who wants it.
MOST_RESULT_BYTES = 64 * 1024

_COLUMNS = (
    f"r.n, {TASK_COLUMNS},"
    " COALESCE(t.finished_at, s.updated_at, t.started_at), s.record, s.attempt, s.progress,"
    " s.partial, s.partial_from"
)


def live(wishes: Sequence[Wish]) -> list[list[TaskNews]]:
    """Return what is new of the calls of each wish."""
    told: list[dict[uuid.UUID, TaskNews]] = [{} for _ in wishes]
    for n, *row in [*_under_way(wishes), *_at_places(wishes)]:
        news = _news(row)
        told[n][news.task_id] = news
    return [[*each.values()] for each in told]


def _at_places(wishes: Sequence[Wish]) -> list[tuple[Any, ...]]:
    asked = [
        {"n": n, "job": wish.job_id.hex, "place": place}
        for n, wish in enumerate(wishes)
        for place in wish.places
    ]
    if not asked:
        return []
    columns = {"n": "int", "job": "uuid", "place": "int"}
    return execute(
        f"SELECT {_COLUMNS}, t.payload, CASE WHEN length(o.body) <= %s THEN o.body END"
        f" FROM {dialect().rows(columns)} JOIN tasks t ON t.job_id = r.job AND t.seq = r.place"
        " LEFT JOIN service_runs s ON s.task_id = t.id"
        " LEFT JOIN results o ON o.key = t.result_key",
        *(MOST_RESULT_BYTES, as_json(asked)),
    )


def _under_way(wishes: Sequence[Wish]) -> list[tuple[Any, ...]]:
    """Their payloads are not read again and again: what they are called stands in their record."""
    columns = {"n": "int", "job": "uuid", "since": "timestamptz"}
    asked = [
        {"n": n, "job": wish.job_id.hex, "since": _text(wish)} for n, wish in enumerate(wishes)
    ]
    return execute(
        f"SELECT {_COLUMNS}, NULL, NULL FROM {dialect().rows(columns)} JOIN tasks t"
        f" ON t.job_id = r.job AND t.state = 'running' AND {_in_flight()}"
        " JOIN service_runs s ON s.task_id = t.id AND s.attempt = t.attempt"
        " AND (r.since IS NULL OR s.updated_at >= r.since)",
        as_json(asked),
    )


def _in_flight() -> str:
    return " AND ".join(f"t.{part}" for part in IN_FLIGHT.split(" AND "))


def _text(wish: Wish) -> str | None:
    told = utc_value(wish.since)
    return told if told is None or isinstance(told, str) else told.isoformat()


def _news(row: Sequence[Any]) -> TaskNews:
    *known, record, run, progress, partial, partial_from, payload, body = row
    news, kept = TaskNews.of_row(known), documents.loaded(record or "{}")
    call = documents.loaded(payload) if payload is not None else kept
    # What an earlier run told is not what this one does.
    is_told = run == news.attempt
    shown = documents.loaded(progress or "{}") if is_told and news.state == "running" else {}
    return replace(
        news,
        step=int(call.get("step") or 1),
        task=str(call.get("task") or news.name),
        user_id=str(call.get("user_id") or ""),
        fraction=shown.get("fraction"),
        told=str(shown.get("message") or ""),
        details=shown.get("details") or {},
        partial=(partial or "") if is_told else "",
        partial_from=(partial_from or 0) if is_told else 0,
        result=(unpacked(body) or {}).get("result") if body is not None else None,
    )
