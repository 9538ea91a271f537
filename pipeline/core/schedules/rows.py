"""The schedules' rows, read back, and the clock by which their times come."""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pipeline.core import documents
from pipeline.core.schedules.spec import when
from pipeline.core.triggers import Times, When
from pipeline.errors import NotFound, Permanent
from pipeline.states import CatchUp, Overlap
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import ScheduleRow, database_now

#: ``database_now``: the clock by which times come.
__all__ = ["Schedule", "as_schedule", "database_now", "get", "listed", "locked"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as its row stands."""

    id: uuid.UUID
    name: str
    owner: str
    kind: str
    parameters: dict[str, Any]
    source: dict[str, Any] | None
    priority: int
    labels: dict[str, str]
    deadline_s: float | None
    cron: str | None
    every_s: float | None
    at: datetime | None
    timezone: str
    anchor_at: datetime
    enabled: bool
    catch_up: CatchUp
    overlap: Overlap
    created_at: datetime
    next_fire_at: datetime | None
    last_fire_at: datetime | None

    @property
    def when(self) -> When:
        """Its trigger."""
        return when(self, self.anchor_at)

    @property
    def times(self) -> Times:
        """The moments at which it fires."""
        return Times(self.when, self.timezone)

    @property
    def has_ended(self) -> bool:
        """True when it is on and no time is left."""
        return self.enabled and self.next_fire_at is None


def get(name: str) -> Schedule:
    """Return the schedule of that name; ``NotFound`` when there is none."""
    with session():
        row = ScheduleRow.get_or_none(ScheduleRow.name == name)
        if row is None:
            raise NotFound(f"There is no schedule {name!r}.")
        return as_schedule(row)


def as_schedule(row: ScheduleRow) -> Schedule:
    """Return what the row says; ``Permanent`` when it holds something else."""
    told = {name: getattr(row, name) for name in Schedule.__slots__}
    documents_of = {name: _document(told[name], name) for name in ("parameters", "labels")}
    source = None if row.source is None else _document(row.source, "source")
    policies = {"catch_up": CatchUp(row.catch_up), "overlap": Overlap(row.overlap)}
    return Schedule(
        **{**told, **documents_of, **policies, "source": source, "enabled": bool(row.enabled)}
    )


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        return documents.mapping(orjson.loads(text), name)
    except orjson.JSONDecodeError as error:
        raise documents.corrupt(f"{name} is no JSON") from error


def listed(*, after: str = "", limit: int = 10_000) -> list[Schedule]:
    """Return schedules by their names, from the one after that name on.

    One that this version does not read costs itself.
    """
    query = ScheduleRow.select().where(ScheduleRow.name > after)
    with session():
        rows = list(query.order_by(ScheduleRow.name).limit(limit))
    found = []
    for row in rows:
        try:
            found.append(as_schedule(row))
        except Permanent as error:
            log.error(
                "A schedule cannot be read", extra={"schedule": row.name, "error": str(error)}
            )
    return found


def locked(name: str) -> None:
    """Hold the schedule's row until the transaction ends."""
    lock = " FOR UPDATE" if dialect().postgres else ""
    execute(f"SELECT 1 FROM schedules WHERE name = %s{lock}", name)
