"""What is new of calls: how each ended, and what those under way tell."""

import uuid
from collections.abc import Sequence
from typing import Any

from pipeline.core import documents
from pipeline.core.live.news import TaskNews, Wish
from pipeline.store.database import as_json, as_uuid, dialect, execute
from pipeline.store.models import IN_FLIGHT, as_utc, utc_value
from pipeline.store.results import unpacked

#: A larger result, packed, is fetched by who wants it.
MOST_RESULT_BYTES = 64 * 1024

_COLUMNS = (
    "r.n, t.job_id, t.id, t.seq, t.name, t.state, t.reason, t.message, t.attempt,"
    " COALESCE(t.finished_at, s.updated_at, t.started_at), s.record, s.attempt, s.progress,"
    " s.partial, s.partial_from"
)


def live(wishes: Sequence[Wish]) -> list[list[TaskNews]]:
    """Return what is new of the calls of each wish."""
    told: list[dict[uuid.UUID, TaskNews]] = [{} for _ in wishes]
    for n, *row in [*_under_way(wishes), *_at_places(wishes)]:
        news = _news(*row)
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


def _news(
    job_id: Any,
    task_id: Any,
    place: int,
    name: str,
    state: str,
    reason: str | None,
    message: str,
    attempt: int,
    at: Any,
    record: str | None,
    run: int | None,
    progress: str | None,
    partial: str | None,
    partial_from: int | None,
    payload: str | None,
    body: bytes | None,
) -> TaskNews:
    kept = documents.loaded(record or "{}")
    call = documents.loaded(payload) if payload is not None else kept
    # What an earlier run told is not what this one does.
    is_told = run == attempt
    shown = documents.loaded(progress or "{}") if is_told and state == "running" else {}
    return TaskNews(
        job_id=as_uuid(job_id),
        task_id=as_uuid(task_id),
        place=place,
        name=name,
        state=state,
        reason=reason,
        message=message,
        attempt=attempt,
        at=as_utc(at),
        step=int(call.get("step") or 1),
        task=str(call.get("task") or name),
        user_id=str(call.get("user_id") or ""),
        fraction=shown.get("fraction"),
        told=str(shown.get("message") or ""),
        details=shown.get("details") or {},
        partial=(partial or "") if is_told else "",
        partial_from=(partial_from or 0) if is_told else 0,
        result=(unpacked(body) or {}).get("result") if body is not None else None,
    )
