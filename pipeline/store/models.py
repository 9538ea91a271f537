"""The rows. The tables themselves, their CHECKs and indexes stand in ``migrations``."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Self

import peewee

from pipeline.store.database import dialect, execute, proxy, session


class UtcField(peewee.Field):
    """An aware UTC time: ``timestamptz`` on PostgreSQL, sortable ISO text on SQLite."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value: datetime | None) -> datetime | str | None:
        """Return the form that the database keeps."""
        return utc_value(value)

    def python_value(self, value: datetime | str | None) -> datetime | None:
        """Return an aware UTC datetime."""
        return as_utc(value)


class JsonField(peewee.TextField):
    """A JSON document kept as text: written once, read whole, never searched."""

    def db_value(self, value: Any) -> str | None:
        """Return the document as text."""
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def python_value(self, value: str | None) -> Any:
        """Return the document."""
        return None if value is None else json.loads(value)


def as_utc(value: datetime | str | None) -> datetime | None:
    """Return a time as both databases hand it out, aware and in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return None if value is None else value.astimezone(UTC)


def moment(value: datetime | str) -> datetime:
    """Return a time that is there, as both databases hand it out, aware and in UTC."""
    told = as_utc(value)
    assert told is not None
    return told


def utc_value(value: datetime | None) -> datetime | str | None:
    """Return an aware time in the form that the open database keeps, for a parameter."""
    if value is None or not isinstance(proxy.obj, peewee.SqliteDatabase):
        return value
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def database_now() -> datetime:
    """Return the time of the database's clock."""
    with session():
        return moment(execute(f"SELECT {dialect().now}")[0][0])


def seconds_since(begin: datetime | None) -> float:
    """Return how long ago that was by the database's clock, never less than 0; 0 for None."""
    return max(0.0, (database_now() - begin).total_seconds()) if begin else 0.0


class Row(peewee.Model):
    """The root of the models; bound to the process's database."""

    @classmethod
    def of(cls, names: Iterable[str], values: Iterable[Any]) -> Self:
        """Return a row of these columns, as the database handed them out for a statement in words:
        Peewee takes twice as long to say one as to be answered."""
        fields = cls._meta.fields
        told = zip(names, values, strict=True)
        return cls(**{name: fields[name].python_value(value) for name, value in told})

    class Meta:
        """Peewee's options."""

        database = proxy
        legacy_table_names = False


class JobRow(Row):
    """One submission."""

    id = peewee.UUIDField(primary_key=True)
    kind = peewee.TextField()
    state = peewee.TextField()
    reason = peewee.TextField(null=True)
    message = peewee.TextField(default="")
    stage = peewee.TextField(default="")
    priority = peewee.SmallIntegerField()
    owner = peewee.TextField()
    labels = JsonField()
    idempotency_key = peewee.TextField(null=True)
    request_digest = peewee.TextField()
    parameters = JsonField()
    source = JsonField(null=True)
    result = JsonField(null=True)
    total = peewee.IntegerField(default=0)
    succeeded = peewee.IntegerField(default=0)
    failed = peewee.IntegerField(default=0)
    timed_out = peewee.IntegerField(default=0)
    cancelled = peewee.IntegerField(default=0)
    reused = peewee.IntegerField(default=0)
    attempt = peewee.SmallIntegerField(default=0)
    worker = peewee.TextField(null=True)
    lease_until = UtcField(null=True)
    not_before = UtcField()
    hinted_at = UtcField(null=True)
    created_at = UtcField()
    started_at = UtcField(null=True)
    planned_at = UtcField(null=True)
    deadline_at = UtcField(null=True)
    cancel_requested_at = UtcField(null=True)
    finished_at = UtcField(null=True)
    finalized_at = UtcField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "jobs"

    @property
    def done(self) -> int:
        """Tasks that have ended."""
        return int(self.succeeded + self.failed + self.timed_out + self.cancelled)


#: The words of two partial indexes. A query about what waits to be sent, or was sent and is not
#: closed, says them: without them PostgreSQL reads all tasks.
UNSENT = "finished_at IS NULL AND hinted_at IS NULL AND open_needs = 0"
IN_FLIGHT = "finished_at IS NULL AND hinted_at IS NOT NULL"


class TaskRow(Row):
    """One unit of a job."""

    id = peewee.UUIDField(primary_key=True)
    job = peewee.ForeignKeyField(JobRow, column_name="job_id", backref="tasks")
    seq = peewee.IntegerField()
    name = peewee.TextField()
    state = peewee.TextField()
    reason = peewee.TextField(null=True)
    message = peewee.TextField(default="")
    size_bytes = peewee.BigIntegerField(default=0)
    payload = JsonField()
    result_key = peewee.TextField(null=True)
    attempt = peewee.SmallIntegerField(default=0)
    strikes = peewee.SmallIntegerField(default=0)
    worker = peewee.TextField(null=True)
    lease_until = UtcField(null=True)
    not_before = UtcField()
    hinted_at = UtcField(null=True)
    batch = peewee.UUIDField(null=True)
    detached_at = UtcField(null=True)
    started_at = UtcField(null=True)
    finished_at = UtcField(null=True)
    open_needs = peewee.IntegerField(default=0)
    run_when = peewee.TextField(null=True)
    onward = peewee.SmallIntegerField(default=0)

    class Meta:
        """Peewee's options."""

        table_name = "tasks"


class ExecutionRow(Row):
    """What goes on outside of workers for one task: its place, its word, its end."""

    task = peewee.ForeignKeyField(TaskRow, column_name="task_id", primary_key=True)
    job_id = peewee.UUIDField()
    attempt = peewee.SmallIntegerField()
    run = peewee.SmallIntegerField()
    host = peewee.TextField()
    container = peewee.TextField()
    placed_at = UtcField()
    launched_at = UtcField(null=True)
    container_name = peewee.TextField(null=True)
    status = peewee.TextField(null=True)
    progress = JsonField(null=True)
    heartbeat_at = UtcField(null=True)
    completed_at = UtcField(null=True)
    success = peewee.SmallIntegerField(null=True)
    result = JsonField(null=True)
    error = peewee.TextField(null=True)
    collect_until = UtcField(null=True)
    stop_reason = peewee.TextField(null=True)
    stop_requested_at = UtcField(null=True)
    ended_at = UtcField(null=True)
    exit_code = peewee.IntegerField(null=True)
    removed_at = UtcField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "executions"


class HostRow(Row):
    """A Docker host; ``away_since``: it does not answer; ``came_back_at``: it does again."""

    name = peewee.TextField(primary_key=True)
    url = peewee.TextField()
    slots = peewee.IntegerField()
    labels = JsonField()
    draining = peewee.SmallIntegerField(default=0)
    checked_at = UtcField(null=True)
    away_since = UtcField(null=True)
    came_back_at = UtcField(null=True)
    error = peewee.TextField(null=True)
    facts = JsonField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "hosts"


class EventRow(Row):
    """One transition of a job, or of a set of its tasks (``tasks``: runs of their places)."""

    id = peewee.BigAutoField()
    job = peewee.ForeignKeyField(JobRow, column_name="job_id", backref="events")
    at = UtcField()
    actor = peewee.TextField()
    subject = peewee.TextField()
    from_state = peewee.TextField(null=True)
    to_state = peewee.TextField()
    reason = peewee.TextField(null=True)
    message = peewee.TextField(default="")
    tasks = JsonField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "events"


class DeadLetterRow(Row):
    """A message that no worker could take; ``body`` as it came."""

    id = peewee.UUIDField(primary_key=True)
    key = peewee.TextField()
    queue = peewee.TextField()
    actor = peewee.TextField(null=True)
    body = peewee.BlobField()
    reason = peewee.TextField()
    found_at = UtcField()
    replayed_at = UtcField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "dead_letters"


class ResultRow(Row):
    """What a task produced, kept under a key of everything it depends on: results are the cache."""

    key = peewee.TextField(primary_key=True)
    body = peewee.BlobField()
    counts = JsonField()
    created_at = UtcField()

    class Meta:
        """Peewee's options."""

        table_name = "results"


class ScheduleRow(Row):
    """What a user wants to be submitted at certain times; its documents as the text they are."""

    id = peewee.UUIDField(primary_key=True)
    name = peewee.TextField()
    owner = peewee.TextField()
    kind = peewee.TextField()
    parameters = peewee.TextField()
    source = peewee.TextField(null=True)
    priority = peewee.SmallIntegerField()
    labels = peewee.TextField()
    deadline_s = peewee.DoubleField(null=True)
    cron = peewee.TextField(null=True)
    every_s = peewee.DoubleField(null=True)
    at = UtcField(null=True)
    timezone = peewee.TextField()
    anchor_at = UtcField()
    enabled = peewee.SmallIntegerField()
    catch_up = peewee.TextField()
    overlap = peewee.TextField()
    created_at = UtcField()
    next_fire_at = UtcField(null=True)
    last_fire_at = UtcField(null=True)

    class Meta:
        """Peewee's options."""

        table_name = "schedules"


class FireRow(Row):
    """What came of one fire time of a schedule; ``actor``: the scheduler, or who ran it by hand."""

    schedule_id = peewee.UUIDField()
    fire_time = UtcField()
    fired_at = UtcField()
    actor = peewee.TextField()
    outcome = peewee.TextField()
    job_id = peewee.UUIDField(null=True)
    message = peewee.TextField(default="")

    class Meta:
        """Peewee's options."""

        table_name = "schedule_fires"
        primary_key = peewee.CompositeKey("schedule_id", "fire_time")


class LeaseRow(Row):
    """Who of several does what one alone must do, and until when."""

    name = peewee.TextField(primary_key=True)
    holder = peewee.TextField()
    taken_at = UtcField()
    lease_until = UtcField()

    class Meta:
        """Peewee's options."""

        table_name = "leases"
