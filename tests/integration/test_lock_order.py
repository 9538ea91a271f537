"""Whoever changes several tasks locks them in the order of their ids: none waits in a circle.

PostgreSQL ends a circle after a second by its clock, so minutes late after that was set back.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pipeline.core import dispatch, jumps, sweep, transitions
from pipeline.core.context import Context, close_context, open_context
from pipeline.settings import Settings
from pipeline.states import Reason, TaskState
from pipeline.store.database import execute, session, transaction
from tests.support import factories as make
from tests.support.waiting import eventually

TASKS = 40


@pytest.fixture
def opened(tmp_path: Path, database: str) -> Iterator[Context]:
    """A context on a fresh PostgreSQL database."""
    yield open_context(Settings(state_dir=tmp_path, database_url=database, window=100))
    close_context()


def follow(context: Context, _: uuid.UUID) -> None:
    """Bring back what lies ahead, as after a clock that was set back."""
    jumps._follow(-300.0, context)


def clamp(context: Context, _: uuid.UUID) -> None:
    """Bring back what lies too far ahead."""
    jumps.clamp(context)


def forget(context: Context, _: uuid.UUID) -> None:
    """Take back the hints that were lost: nothing is in the queue."""
    make.take_messages()
    sweep._forget_lost_hints(context)


def unhint(_: Context, job_id: uuid.UUID) -> None:
    """Take back the hints that were not sent."""
    with session():
        rows = execute("SELECT DISTINCT batch FROM tasks WHERE job_id = %s", job_id.hex)
    dispatch.unhint([batch for (batch,) in rows])


def close_pending(_: Context, job_id: uuid.UUID) -> None:
    """Cancel what waits."""
    transitions.close_pending(job_id, TaskState.CANCELLED, Reason.CANCELLED, "", actor="test")


def claim(_: Context, job_id: uuid.UUID) -> None:
    """Lease all."""
    transitions.claim_tasks(job_id, _batch(job_id), worker="worker", lease_s=60)


def renew(_: Context, job_id: uuid.UUID) -> None:
    """Renew what is held."""
    transitions.renew(transitions.claimed(job_id, _batch(job_id), worker="worker"), lease_s=60)


def close(_: Context, job_id: uuid.UUID) -> None:
    """Close what is held."""
    make.close(job_id, transitions.claimed(job_id, _batch(job_id), worker="worker"))


def _batch(job_id: uuid.UUID) -> uuid.UUID:
    with session():
        [(batch,)] = execute("SELECT DISTINCT batch FROM tasks WHERE job_id = %s", job_id.hex)
    assert isinstance(batch, uuid.UUID)
    return batch


@pytest.mark.parametrize(
    "change", [follow, clamp, forget, unhint, close_pending, claim, renew, close]
)
def test_first_task_is_waited_for_before_another_is_locked(
    opened: Context, database: str, change: Callable[[Context, uuid.UUID], None]
) -> None:
    job_id = make.planned_job(opened, tasks=TASKS)
    if change in (renew, close):
        make.claimed(opened, job_id)
    first = _scattered(job_id, change)
    with psycopg.connect(database) as other:
        other.execute("SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", (first,))
        changing = threading.Thread(target=change, args=(opened, job_id))
        changing.start()
        eventually(lambda: _somebody_waits(database), within_s=10, what="the change waits")
        free = other.execute(
            "SELECT 1 FROM tasks WHERE job_id = %s FOR UPDATE SKIP LOCKED", (job_id,)
        ).fetchall()
        other.rollback()
    changing.join(10)
    assert not changing.is_alive()
    assert len(free) == TASKS


def _scattered(job_id: uuid.UUID, change: Callable[[Context, uuid.UUID], None]) -> uuid.UUID:
    """Let the tasks lie in another order than that of their ids; return the first of those."""
    ahead_s = -3600 if change is forget else 3600
    # In one transaction, so that no room of old versions is used for the new ones.
    with transaction():
        rows = execute("SELECT id FROM tasks WHERE job_id = %s ORDER BY id", job_id.hex)
        ids = [task_id for (task_id,) in rows]
        for task_id in reversed(ids):
            execute(
                "UPDATE tasks SET hinted_at = statement_timestamp() + %s * interval '1 second'"
                " WHERE id = %s",
                *(ahead_s, task_id.hex),
            )
    first: uuid.UUID = ids[0]
    return first


def _somebody_waits(database: str) -> bool:
    with psycopg.connect(database) as watcher:
        rows = watcher.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        ).fetchall()
    return bool(rows)


def test_who_cancels_waits_for_who_sends(opened: Context) -> None:
    job_id = make.planned_job(opened, tasks=TASKS)

    def is_waiting() -> bool:
        with psycopg.connect(opened.settings.database) as connection:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
        return bool(number)

    thread = threading.Thread(target=close_pending, args=(opened, job_id))
    with session(), transaction():
        transitions.lock_sending("trivial")
        thread.start()
        eventually(is_waiting, within_s=10, what="it waits")
        assert make.recount(job_id) == {"pending": TASKS}
    thread.join()
    assert make.recount(job_id) == {"cancelled": TASKS}
