"""A statement is planned for the tables as they are, not as they were when it was first run."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core import transitions
from pipeline.core.context import Context, close_context, open_context
from pipeline.settings import Settings
from pipeline.store import results
from pipeline.store.database import execute, session
from pipeline.store.results import Result
from tests.support.factories import pending_job


@pytest.fixture
def fresh(tmp_path: Path, database: str) -> Iterator[Context]:
    """A context on a PostgreSQL database that nobody vacuums or analyzes."""
    opened = open_context(Settings(state_dir=tmp_path, database_url=database))
    with session():
        for table in ("jobs", "tasks", "results"):
            execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    yield opened
    close_context()


def test_a_plan_made_for_empty_tables_is_not_kept(fresh: Context) -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20)]
    job_id = pending_job()
    with session():
        for _ in range(12):
            assert results.known(keys) == set()
            transitions.claimed(job_id, uuid.uuid4(), worker="worker")
        assert execute("SELECT name FROM pg_prepared_statements") == []


def test_known_results_are_found_by_their_keys_however_many_there_are(fresh: Context) -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6000)]
    with session():
        for _ in range(12):
            results.known(keys[:20])
        for first in range(0, len(keys), 500):
            results.store([Result(key, {"n": 1}, {}) for key in keys[first : first + 500]])
        before = _rows_scanned()
        assert results.known(keys[:20]) == set(keys[:20])
        assert _rows_scanned() == before


def _rows_scanned() -> int:
    execute("SELECT pg_stat_force_next_flush()")
    execute("SELECT pg_stat_clear_snapshot()")
    [(rows,)] = execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'results'")
    return int(rows)
