"""Reads what is new of many jobs at one moment, in a few statements however many they are."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import orjson

from pipeline.core import documents, jobs
from pipeline.core.kinds import Kind, get_kind
from pipeline.core.live.news import News, TaskNews, Transition, Wish
from pipeline.errors import Refused
from pipeline.store.database import as_json, dialect, execute, snapshot
from pipeline.store.models import JobRow, moment

#: Rows of histories that are read at a time; more are read by the next look.
MOST_ROWS = 2000
#: A job with more tasks tells of itself alone.
MOST_TASKS = 1000
#: A larger result is fetched by who wants it.
MOST_RESULT_BYTES = 64 * 1024

_COLUMNS = (
    *("id", "kind", "owner", "state", "reason", "stage", "message", "total", "succeeded"),
    *("failed", "timed_out", "cancelled", "reused", "started_at", "planned_at", "finished_at"),
    "finalized_at",
)
_ROW = tuple(each.name for each in fields(Transition))


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to know of a job: its history after a row, tasks since a moment."""

    job_id: uuid.UUID
    after: int
    since: datetime | None


def look(asks: Sequence[Ask]) -> list[News | None]:
    """Return what is new for each; None for a job that is gone. The first ones are served first."""
    if not asks:
        return []
    with snapshot():
        now = moment(execute(f"SELECT {dialect().now}")[0][0])
        found = _jobs({ask.job_id for ask in asks})
        rows, whole = _transitions(asks)
        wishes = [_wish(ask, rows.get(place, [])) for place, ask in enumerate(asks)]
        tasks = _tasks(wishes, found)
        return [
            _news(found[ask.job_id], rows.get(place, []), tasks.get(place), place < whole, now)
            if ask.job_id in found
            else None
            for place, ask in enumerate(asks)
        ]


@dataclass(frozen=True, slots=True)
class _Found:
    row: JobRow
    result: str | None

    @property
    def kind(self) -> Kind | None:
        """Its kind; None when nobody here knows it."""
        try:
            return get_kind(self.row.kind)
        except Refused:
            return None


def _jobs(job_ids: set[uuid.UUID]) -> dict[uuid.UUID, _Found]:
    sql = dialect()
    names = ", ".join(_COLUMNS)
    rows = execute(
        f"SELECT {names}, CASE WHEN finalized_at IS NOT NULL AND length(result) <= %s"
        f" THEN result END FROM jobs WHERE {sql.among('id')}",
        *(MOST_RESULT_BYTES, sql.ids(job_ids)),
    )
    found = {}
    for *told, result in rows:
        row = JobRow.of(_COLUMNS, told)
        found[row.id] = _Found(row, result)
    return found


def _transitions(asks: Sequence[Ask]) -> tuple[dict[int, list[Transition]], int]:
    """Return the rows for each ask by its place, and the place of the first that has not all."""
    sql = dialect()
    told = [{"n": n, "job": ask.job_id.hex, "after_id": ask.after} for n, ask in enumerate(asks)]
    columns = {"n": "int", "job": "uuid", "after_id": "bigint"}
    rows = execute(
        f"SELECT r.n, {', '.join(f'e.{name}' for name in _ROW)} FROM {sql.rows(columns)}"
        " JOIN events e ON e.job_id = r.job AND e.id > r.after_id ORDER BY r.n, e.id LIMIT %s",
        *(as_json(told), MOST_ROWS),
    )
    found: dict[int, list[Transition]] = {}
    for n, *row in rows:
        read: dict[str, Any] = dict(zip(_ROW, row, strict=True))
        read.update(at=moment(read["at"]), tasks=_runs(read["tasks"]))
        found.setdefault(n, []).append(Transition(**read))
    return found, len(asks) if len(rows) < MOST_ROWS else rows[-1][0]


def _runs(text: str | None) -> list[list[int]] | None:
    try:
        told: list[list[int]] | None = None if text is None else orjson.loads(text)
    except ValueError:
        return None
    return told


def _wish(ask: Ask, rows: Sequence[Transition]) -> Wish:
    """A job with so many tasks that its rows tell of too many is not asked for any of them."""
    if sum(row.places for row in rows) > 10 * MOST_TASKS:
        return Wish(ask.job_id, [], ask.since)
    places = {n for row in rows for a, b in row.tasks or () for n in range(a, b + 1)}
    return Wish(ask.job_id, sorted(places), ask.since)


def _tasks(wishes: Sequence[Wish], found: Mapping[uuid.UUID, _Found]) -> dict[int, list[TaskNews]]:
    """Return the tasks' news for each wish by its place, of those whose kind tells of tasks."""
    by_package: dict[str, tuple[Kind, list[int]]] = {}
    for place, wish in enumerate(wishes):
        job = found.get(wish.job_id)
        kind = job.kind if job is not None and job.row.total <= MOST_TASKS else None
        if kind is not None:
            by_package.setdefault(kind.package, (kind, []))[1].append(place)
    told: dict[int, list[TaskNews]] = {}
    for kind, places in by_package.values():
        news = kind.live([wishes[place] for place in places])
        if news is not None:
            told.update(zip(places, news, strict=True))
    return told


def _news(
    found: _Found,
    rows: Sequence[Transition],
    tasks: Sequence[TaskNews] | None,
    is_whole: bool,
    now: datetime,
) -> News:
    row: Any = found.row
    return News(
        id=row.id,
        kind=row.kind,
        owner=row.owner,
        reason=row.reason,
        progress=jobs.progress_of(row),
        transitions=rows,
        tasks=tasks or (),
        tells_tasks=tasks is not None,
        result=None if found.result is None else documents.loaded(found.result),
        is_whole=is_whole,
        read_at=now,
    )
