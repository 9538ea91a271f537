"""Every schema that was released comes to the newest, its rows as they were, and works there."""

import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from peewee_migrate import Router

from pipeline.core import api_tokens, jobs
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.dispatch import dispatch
from pipeline.core.fsck import fsck
from pipeline.settings import Settings
from pipeline.states import JobState
from pipeline.store import database, schema
from pipeline.store.database import execute, session, transaction
from tests.support import factories as make
from tests.support.services import own_database

#: Each migration ends a schema that somebody may have.
RELEASED = schema.known()

AT = "2026-01-02T03:04:05.678000+00:00"
OPEN, ENDED = (uuid.UUID(int=n).hex for n in (1, 2))
TASKS = [uuid.UUID(int=n).hex for n in range(10, 14)]

JOB = {
    **{"kind": "trivial", "priority": 5, "owner": "ann", "labels": '{"pr": "812"}'},
    **{"request_digest": "d", "parameters": '{"tasks": 2}', "not_before": AT, "created_at": AT},
    **{"started_at": AT, "planned_at": AT, "total": 2, "idempotency_key": "once"},
}
TASK = {"payload": "{}", "size_bytes": 7, "not_before": AT, "started_at": AT}
END = {"state": "succeeded", "finished_at": AT}

#: Rows by the migration that made their table.
ROWS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "001_machine": [
        ("jobs", {**JOB, "id": OPEN, "state": "running", "succeeded": 1}),
        (
            "jobs",
            {**JOB, **END, "id": ENDED, "owner": "bob", "succeeded": 2, "finalized_at": AT},
        ),
        ("tasks", {**TASK, **END, "id": TASKS[0], "job_id": OPEN, "seq": 0, "name": "a"}),
        (
            "tasks",
            {**TASK, "id": TASKS[1], "job_id": OPEN, "seq": 1, "name": "b", "state": "pending"},
        ),
        ("tasks", {**TASK, **END, "id": TASKS[2], "job_id": ENDED, "seq": 0, "name": "a"}),
        (
            "tasks",
            {**TASK, **END, "id": TASKS[3], "job_id": ENDED, "seq": 1, "name": "é", "attempt": 2}
            | {"strikes": 1, "result_key": "k"},
        ),
        (
            "events",
            {"job_id": ENDED, "at": AT, "actor": "ann", "subject": "job", "to_state": "pending"},
        ),
        ("results", {"key": "k", "body": zlib.compress(b"{}"), "counts": "{}", "created_at": AT}),
    ],
    "002_dead_letters": [
        (
            "dead_letters",
            {"id": uuid.UUID(int=30).hex, "key": "k", "queue": "q", "actor": "a", "body": b"\x00"}
            | {"reason": "failed", "found_at": AT},
        )
    ],
    "005_executions": [
        ("hosts", {"name": "here", "url": "", "slots": 8, "labels": "{}", "checked_at": AT}),
        (
            "executions",
            {"task_id": TASKS[3], "job_id": ENDED, "attempt": 1, "run": 1, "host": "here"}
            | {"container": "c", "placed_at": AT, "ended_at": AT, "removed_at": AT},
        ),
    ],
    "006_api_tokens": [
        (
            "api_tokens",
            {"id": uuid.UUID(int=40).hex, "name": "ci", "owner": "ann", "role": "admin"}
            | {"digest": "f" * 64, "created_at": AT},
        )
    ],
    "008_upkeep": [
        (
            "health",
            {"name": "storage", "state": "ok", "message": "", "checked_at": AT, "facts": "{}"},
        )
    ],
    "010_services": [
        (
            "service_runs",
            {"task_id": TASKS[3], "job_id": ENDED, "attempt": 1, "partial": "é", "record": "{}"}
            | {"began_at": AT, "updated_at": AT},
        ),
        (
            "services",
            {"mode": "chat", "name": "chat", "heavy": 0, "description": "", "tasks": "{}"}
            | {"takes_any": 0, "limits": "{}", "seen_at": AT},
        ),
        ("service_pauses", {"mode": "chat", "name": "chat", "next_at": AT}),
        ("service_waits", {"task_id": TASKS[1], "mode": "chat", "name": "chat", "since": AT}),
        (
            "service_slots",
            {"task_id": TASKS[3], "mode": "chat", "name": "chat", "attempt": 1, "lease_until": AT},
        ),
    ],
    "011_templates": [
        (
            "templates",
            {"id": uuid.UUID(int=50).hex, "name": "t", "version": 1, "owner": "ann"}
            | {"kind": "trivial", "parameters": "{}", "variables": "{}", "priority": 5}
            | {"labels": "{}", "created_at": AT},
        )
    ],
    "012_statistics": [
        (
            "access_log",
            {"id": uuid.UUID(int=50).hex, "at": AT, "method": "GET", "path": "/x", "route": "/x"}
            | {"status_code": 200, "response_time_ms": 1.5, "request_id": "r"},
        ),
        (
            "statistics_days",
            {"day": "2026-01-01", "part": "access", "timezone": "UTC", "complete": 1}
            | {"generated_at": AT},
        ),
        (
            "daily_figures",
            {"day": "2026-01-01", "part": "access", "name": "n", "labels": "{}", "value": 1.0},
        ),
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of this test's own, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'quayline.db'}"
        return
    with own_database() as told:
        yield told


def build(url: str, newest: str) -> None:
    """Make the schema of then, with rows in each of its tables."""
    database.open_database(url)
    with transaction():
        Router(database.proxy.obj, migrate_dir=schema.MIGRATIONS).run(newest)
        for name in RELEASED[: RELEASED.index(newest) + 1]:
            for table, row in ROWS.get(name, []):
                names = ", ".join(row)
                marks = ", ".join(["%s"] * len(row))
                execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", *row.values())


def rows_of(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return what stands in those columns of those tables."""
    with session():
        return {
            table: sorted(
                str([bytes(each) if isinstance(each, memoryview) else each for each in row])
                for row in execute(f"SELECT {', '.join(columns)} FROM {table}")
            )
            for table, columns in tables.items()
        }


def tables() -> dict[str, list[str]]:
    """Return the columns of every table of ours."""
    with session():
        return {
            table: sorted(column.name for column in database.proxy.obj.get_columns(table))
            for table in database.proxy.obj.get_tables()
            if table not in ("migratehistory", "sqlite_sequence")
        }


@pytest.mark.parametrize("newest", RELEASED)
def test_schema_comes_to_the_newest_with_its_rows(url: str, newest: str, tmp_path: Path) -> None:
    build(url, newest)
    columns = tables()
    before = rows_of(columns)
    assert all(before[table] for name in ROWS for table, _ in ROWS[name] if table in columns)
    assert schema.migrate() == RELEASED[RELEASED.index(newest) + 1 :]
    assert schema.pending() == []
    assert rows_of(columns) == before
    assert schema.migrate() == []
    database.close_database()
    settings = Settings(state_dir=tmp_path / "state", database_url=url, worker_name="worker")
    context = open_context(settings)
    try:
        goes_on(context)
    finally:
        close_context()


def goes_on(context: Context) -> None:
    """What was open ends, what had ended is told, and all is counted right."""
    dispatch("trivial", context)
    job_id = uuid.UUID(OPEN)
    claims = make.claimed(context, job_id)
    assert [str(claim.id) for claim in claims] == [str(uuid.UUID(TASKS[1]))]
    assert make.close(job_id, claims)
    assert jobs.get(OPEN).state == JobState.SUCCEEDED
    assert [task["name"] for task in jobs.tasks(uuid.UUID(ENDED))] == ["a", "é"]
    assert len(jobs.events(uuid.UUID(ENDED))) == 1
    assert fsck(context).clean
    assert api_tokens.create("ann", "admin")[0].role == "admin"


def test_every_migration_can_be_undone(url: str) -> None:
    build(url, RELEASED[-1])
    schema.roll_back(RELEASED[1:])
    assert schema.done() == RELEASED[:1]
    assert set(tables()) == {"jobs", "tasks", "events", "results"}
    schema.roll_back(RELEASED[:1])
    assert tables() == {}
    assert schema.migrate() == RELEASED
    database.close_database()


def test_several_processes_migrate_once(url: str) -> None:
    build(url, RELEASED[0])
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda _: schema.migrate(), range(4)))
    assert sorted(name for names in told for name in names) == RELEASED[1:]
    database.close_database()
