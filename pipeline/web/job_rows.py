"""The rows behind the routes of jobs: a page of them, and who owns one.

Documents are taken as text and read with care: one row that holds something else costs itself.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN, SQL, Expression, fn

from pipeline.core import documents
from pipeline.errors import NotFound
from pipeline.store.database import as_json, dialect, session
from pipeline.store.models import EventRow, JobRow, ResultRow, TaskRow
from pipeline.store.results import unpacked

COUNTS = ("total", "succeeded", "failed", "timed_out", "cancelled", "reused")
TIMES = (
    *("created_at", "started_at", "planned_at", "deadline_at", "cancel_requested_at"),
    *("finished_at", "finalized_at"),
)
PLAIN = ("id", "kind", "state", "reason", "message", "stage", "priority", "owner")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs a list is about; what is None or empty does not matter."""

    states: Sequence[str] = ()
    kind: str | None = None
    owner: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    since: datetime | None = None
    until: datetime | None = None


def owner(job_id: uuid.UUID) -> str:
    """Return whose the job is; ``NotFound`` when there is none."""
    with session():
        found = JobRow.select(JobRow.owner).where(JobRow.id == job_id).tuples().first()
    if found is None:
        raise NotFound(f"There is no job {job_id}.")
    return str(found[0])


def page(wanted: Wanted, *, before: uuid.UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return jobs, the newest first, each without its large documents."""
    columns = [getattr(JobRow, name) for name in (*PLAIN, *COUNTS, *TIMES)]
    columns += [JobRow.labels.cast("text").alias("labels_text")]
    columns += [JobRow.source.cast("text").alias("source_text")]
    query = JobRow.select(*columns).order_by(JobRow.id.desc()).limit(limit)
    for condition in _conditions(wanted):
        query = query.where(condition)
    if before is not None:
        query = query.where(JobRow.id < before)
    told: Any = query.dicts()
    with session():
        rows: list[dict[str, Any]] = list(told)
    for row in rows:
        row["labels"] = documents.loaded(row.pop("labels_text") or "{}")
        row["source"] = documents.loaded(row.pop("source_text") or "{}")
    return rows


def _conditions(wanted: Wanted) -> list[Expression]:
    told: list[Expression] = []
    if wanted.states:
        told.append(JobRow.state.in_(list(wanted.states)))
    if wanted.kind is not None:
        told.append(JobRow.kind == wanted.kind)
    if wanted.owner is not None:
        told.append(JobRow.owner == wanted.owner)
    if wanted.since is not None:
        told.append(JobRow.created_at >= wanted.since)
    if wanted.until is not None:
        told.append(JobRow.created_at < wanted.until)
    return told + [_has_label(*label) for label in wanted.labels]


def _has_label(key: str, value: str) -> Expression:
    """Labels are kept as compact JSON of texts, in which a quote inside a text is escaped: a pair
    stands there after a brace or a comma, or it is not one of them."""
    pair = as_json({key: value})[1:-1]
    place = fn.STRPOS if dialect().postgres else fn.INSTR
    text = JobRow.labels.cast("text")
    return (place(text, "{" + pair) == SQL("1")) | (place(text, "," + pair) > 0)


def events(job_id: uuid.UUID, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Return a part of the job's history, oldest first."""
    query = EventRow.select().where((EventRow.job == job_id) & (EventRow.id > after))
    rows: Any = query.order_by(EventRow.id).limit(limit).dicts()
    with session():
        return list(rows)


TASK = ("seq", "id", "name", "state", "reason", "message", "attempt", "size_bytes")


def tasks(
    job_id: uuid.UUID, *, after: int, limit: int, state: str | None = None
) -> list[dict[str, Any]]:
    """Return a part of the job's tasks in order, each with its result document."""
    query = (
        TaskRow.select(*(getattr(TaskRow, name) for name in TASK), ResultRow.body)
        .join(ResultRow, JOIN.LEFT_OUTER, on=(TaskRow.result_key == ResultRow.key))
        .where((TaskRow.job == job_id) & (TaskRow.seq > after))
        .order_by(TaskRow.seq)
        .limit(limit)
    )
    if state is not None:
        query = query.where(TaskRow.state == state)
    told: Any = query.tuples()
    with session():
        rows: list[tuple[Any, ...]] = list(told)
    return [{**dict(zip(TASK, row, strict=False)), "result": unpacked(row[-1])} for row in rows]
