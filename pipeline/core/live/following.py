"""Follows one job for one viewer: makes messages of what is new, each once, in their order."""

import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from pipeline.core.history import runs
from pipeline.core.live.cursor import Cursor
from pipeline.core.live.looking import Ask
from pipeline.core.live.news import News, TaskNews, Transition

#: Between two looks at rows that were committed after higher ones, in seconds.
LATE_S = 2.0
#: What a task told is written with the clock of its statement, and seen after its commit.
OVERLAP = timedelta(seconds=2)

#: How states are told in a ``progress`` message.
STATUSES = {"succeeded": "completed", "partial": "failed"}
_SENTENCES = {
    "pending": "Waiting: {}",
    "running": "Executing task: {}",
    "completed": "Completed task: {}",
    "cancelled": "Cancelled task: {}",
    "timed_out": "Task took too long: {}",
}
_OTHERWISE = "Failed to execute task: {}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream; ``event`` is ``transition``, ``progress``, ``job`` or ``end``.

    ``id`` is where the stream goes on after it; None where it goes on before it, so that what was
    read together is told together.
    """

    event: str
    data: dict[str, Any]
    id: str | None = None


class Follow:
    """What one viewer has been told of a job; ``has_ended`` when nothing more will come."""

    def __init__(self, job_id: uuid.UUID, cursor: Cursor | None = None) -> None:
        self.job_id = job_id
        self.has_ended = False
        self.is_whole = False
        self._cursor = cursor or Cursor()
        self._since: Any = None
        self._late_at = time.monotonic() + LATE_S
        self._job: dict[str, Any] = {}
        #: Of each task: attempt, status and what it told last.
        self._told: dict[int, tuple[Any, ...]] = {}
        #: Up to where its partial output was told, under which attempt.
        self._partial: dict[int, tuple[int, int]] = {}

    def ask(self, *, late: bool | None = None) -> Ask:
        """Return what is to be looked for; with ``late`` also rows that were committed after
        higher ones, which is rare, and looked for now and then (None: when it is time)."""
        late = time.monotonic() >= self._late_at if late is None else late
        if late:
            self._late_at = time.monotonic() + LATE_S
            self._cursor.settle()
        after = self._cursor.settled if late else self._cursor.last
        return Ask(self.job_id, after, self._since)

    def take(self, news: News | None) -> list[Message]:
        """Return what is to be told of it; of a job that is gone, its end."""
        if news is None:
            self.has_ended = True
            return [Message("end", {"job_id": str(self.job_id), "state": "gone"})]
        self.is_whole = news.is_whole
        told = [*self._transitions(news), *self._progress(news), *self._of_job(news)]
        self._since = news.read_at - OVERLAP
        if not told:
            return []
        *first, last = told
        return [*first, Message(last.event, last.data, self._cursor.text())]

    def _transitions(self, news: News) -> Iterable[Message]:
        fresh = [
            row
            for row in news.transitions
            if self._cursor.take(row.id, (news.read_at - row.at).total_seconds())
        ]
        # Only those that follow one another: a task may come to a state, leave it and come again.
        for _, rows in groupby(fresh, key=_words):
            yield Message("transition", {"job_id": str(news.id), **_merged([*rows])})

    def _progress(self, news: News) -> Iterable[Message]:
        for task in sorted(news.tasks, key=lambda each: each.place):
            data = self._of_task(task)
            if data is not None:
                yield Message("progress", data)

    def _of_task(self, task: TaskNews) -> dict[str, Any] | None:
        status = STATUSES.get(task.state, task.state)
        heading = (task.attempt, status, task.fraction, task.told, dict(task.details))
        partial, at = self._new_partial(task)
        if self._told.get(task.place) == heading and not partial:
            return None
        self._told[task.place] = heading
        name = task.task or task.name
        data: dict[str, Any] = {
            **{"status": status, "step": task.step, "task": name, "name": task.name},
            "message": task.told or _SENTENCES.get(status, _OTHERWISE).format(name),
            **{"job_id": str(task.job_id), "task_id": str(task.task_id)},
            **{"user_id": task.user_id, "attempt": task.attempt, "progress": task.fraction},
            **{"details": dict(task.details), "at": _text(task.at)},
        }
        if partial:
            data.update(partial=partial, partial_at=at)
        return {**data, **_outcome(status, task.result, task.message, task.reason)}

    def _new_partial(self, task: TaskNews) -> tuple[str, int]:
        """Return what its output has grown by, and where that begins."""
        attempt, told = self._partial.get(task.place, (task.attempt, 0))
        if attempt != task.attempt:
            told = 0
        end = task.partial_from + len(task.partial)
        begin = max(told, task.partial_from)
        self._partial[task.place] = (task.attempt, max(told, end))
        return task.partial[begin - task.partial_from :] if end > begin else "", begin

    def _of_job(self, news: News) -> Iterable[Message]:
        data = job_data(news)
        steady = {name: told for name, told in data.items() if name not in _MOVING}
        self.has_ended = news.progress.finalized and news.is_whole
        if steady != self._job:
            self._job = steady
            if not news.tells_tasks:
                yield Message("progress", _progress_of_job(news))
            if not self.has_ended:
                yield Message("job", data)
        if self.has_ended:
            yield Message("end", data)


#: They change from look to look, though nothing has happened.
_MOVING = ("elapsed_s", "rate_per_s", "eta_s")


def job_data(news: News) -> dict[str, Any]:
    """Return how the job is, as its messages tell it."""
    told = asdict(news.progress)
    state = {name: told.pop(name) for name in ("state", "stage", "message")}
    return {
        **{"job_id": str(news.id), "kind": news.kind, "reason": news.reason},
        **state,
        **told,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _words(row: Transition) -> tuple[Any, ...]:
    """Return what rows of several tasks have in common that are told as one."""
    if row.subject != "tasks":
        return (row.id,)
    return (row.from_state, row.to_state, row.reason, row.message, row.actor)


def _merged(rows: list[Transition]) -> dict[str, Any]:
    """Return rows that tell the same of several tasks as one."""
    last = rows[-1]
    places = [n for row in rows for a, b in row.tasks or () for n in range(a, b + 1)]
    return {
        **asdict(last),
        "at": _text(last.at),
        "tasks": runs(places) if any(row.tasks for row in rows) else None,
        "rows": runs([row.id for row in rows]),
    }


def _outcome(status: str, result: Any, message: str, reason: str | None) -> dict[str, Any]:
    if status == "completed":
        return {"result": result}
    if status in ("pending", "running"):
        return {"reason": reason} if reason else {}
    return {"error": message or reason or status, "reason": reason}


def _progress_of_job(news: News) -> dict[str, Any]:
    """Return the ``progress`` of a job whose tasks are too many, or too small, to be told of."""
    job = news.progress
    state = job.state if job.finalized or job.state == "pending" else "running"
    status = STATUSES.get(state, state)
    counted = f"{job.done} of {job.total} done" if job.planned else job.stage
    return {
        **{"status": status, "step": job.done, "task": news.kind, "name": news.kind},
        "message": (job.message if status != "running" else "") or counted,
        **{"job_id": str(news.id), "task_id": None, "user_id": "", "attempt": 0},
        "progress": job.done / job.total if job.planned and job.total else None,
        "details": {"done": job.done, "total": job.total, "stage": job.stage},
        "at": _text(news.read_at),
        **_outcome(status, news.result, job.message, news.reason),
    }
