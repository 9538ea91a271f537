"""What is new of a job, as it was read at one moment."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline.core.jobs import Progress
from pipeline.store.database import as_uuid
from pipeline.store.models import as_utc

#: What every kind tells of a row of ``tasks t``; what stands for ``at`` follows.
TASK_COLUMNS = "t.job_id, t.id, t.seq, t.name, t.state, t.reason, t.message, t.attempt"


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the history; ``tasks`` are runs of places."""

    id: int
    at: datetime
    actor: str
    subject: str
    from_state: str | None
    to_state: str
    reason: str | None
    message: str
    tasks: list[list[int]] | None

    @property
    def places(self) -> int:
        """Of how many tasks it tells."""
        return sum(b - a + 1 for a, b in self.tasks or ())


@dataclass(frozen=True, slots=True)
class Wish:
    """What a kind is asked about the tasks of one job: those at ``places``, and those under way
    that told something ``since`` then (None: ever)."""

    job_id: uuid.UUID
    places: list[int]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class TaskNews:
    """How one task is, as its kind tells it; ``at``: when that was written.

    ``partial``: what it has given so far, from its character ``partial_from`` on.
    """

    job_id: uuid.UUID
    task_id: uuid.UUID
    place: int
    name: str
    state: str
    reason: str | None
    message: str
    attempt: int
    at: datetime | None
    step: int = 1
    task: str = ""
    user_id: str = ""
    fraction: float | None = None
    told: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    partial: str = ""
    partial_from: int = 0
    result: Any = None

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "TaskNews":
        """Return what ``TASK_COLUMNS`` and the column after them say."""
        job_id, task_id, place, name, state, reason, message, attempt, at = row
        return cls(
            *(as_uuid(job_id), as_uuid(task_id), place, name, state, reason, message, attempt),
            as_utc(at),
        )


@dataclass(frozen=True, slots=True)
class News:
    """What is new of one job. ``is_whole`` is False while more of its history waits to be read."""

    id: uuid.UUID
    kind: str
    owner: str
    reason: str | None
    progress: Progress
    transitions: Sequence[Transition]
    tasks: Sequence[TaskNews]
    tells_tasks: bool
    result: Mapping[str, Any] | None
    is_whole: bool
    read_at: datetime
