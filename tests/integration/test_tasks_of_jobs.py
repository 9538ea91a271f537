"""No task is without its job in PostgreSQL, whoever inserts and removes at the same time."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import peewee
import psycopg
import pytest

from pipeline.clock import new_id
from pipeline.core.context import Context, close_context, open_context
from pipeline.settings import Settings
from pipeline.store.database import execute, session
from tests.support import factories as make
from tests.support.waiting import eventually

INSERT = """
    INSERT INTO tasks (id, job_id, seq, name, state, payload, not_before)
    VALUES (%s, %s, 99, 'late', 'pending', '{}', now())
"""
REMOVE = "DELETE FROM jobs WHERE id = %s"


@pytest.fixture
def opened(tmp_path: Path, database: str) -> Iterator[Context]:
    """A context on a fresh PostgreSQL database."""
    yield open_context(Settings(state_dir=tmp_path, database_url=database))
    close_context()


def said(database: str, sql: str, *told: str) -> tuple[threading.Thread, list[str]]:
    """Say it in a thread of its own; the list gets how it ended."""
    ends: list[str] = []

    def say() -> None:
        try:
            with psycopg.connect(database) as connection:
                connection.execute(sql, told)
            ends.append("")
        except psycopg.Error as error:
            ends.append(str(error.sqlstate))

    thread = threading.Thread(target=say)
    thread.start()
    return thread, ends


def waits(ends: list[str]) -> bool:
    """Tell whether somebody waits for a lock, or is done already."""
    with session():
        waiting = execute("SELECT 1 FROM pg_locks WHERE NOT granted")
    return bool(waiting or ends)


def tasks_of(job_id: uuid.UUID) -> int:
    """Return how many tasks of the job there are."""
    with session():
        return int(execute("SELECT count(*) FROM tasks WHERE job_id = %s", job_id.hex)[0][0])


def test_job_is_not_removed_before_new_tasks_of_it_are_there(
    opened: Context, database: str
) -> None:
    job_id = make.planned_job(opened, tasks=3)
    with psycopg.connect(database) as inserting:
        inserting.execute(INSERT, (new_id().hex, job_id.hex))
        thread, ends = said(database, REMOVE, job_id.hex)
        eventually(lambda: waits(ends), within_s=10, what="The removal waits")
        assert ends == []
    thread.join()
    assert ends == [""]
    assert tasks_of(job_id) == 0


def test_tasks_of_a_job_that_is_being_removed_are_refused(opened: Context, database: str) -> None:
    job_id = make.planned_job(opened, tasks=3)
    with psycopg.connect(database) as removing:
        removing.execute(REMOVE, (job_id.hex,))
        thread, ends = said(database, INSERT, new_id().hex, job_id.hex)
        eventually(lambda: waits(ends), within_s=10, what="The insert waits")
        assert ends == []
    thread.join()
    assert ends == [psycopg.errors.ForeignKeyViolation.sqlstate]
    assert tasks_of(job_id) == 0


def test_removal_that_is_taken_back_keeps_the_tasks(opened: Context, database: str) -> None:
    job_id = make.planned_job(opened, tasks=3)
    with psycopg.connect(database) as removing:
        removing.execute(REMOVE, (job_id.hex,))
        removing.rollback()
    assert tasks_of(job_id) == 3


def test_nothing_at_all_may_be_inserted_or_removed(opened: Context) -> None:
    with session():
        execute("DELETE FROM jobs WHERE id = %s", new_id().hex)
        execute("INSERT INTO tasks SELECT * FROM tasks")
        with pytest.raises(peewee.IntegrityError, match="there is no job"):
            execute(INSERT, new_id().hex, new_id().hex)
