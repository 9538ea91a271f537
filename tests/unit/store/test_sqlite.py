"""A file that somebody else has just made, or holds, is waited for from the first moment."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import peewee
import pytest

from pipeline.store.sqlite import SqlitePool


def held(path: Path) -> sqlite3.Connection:
    """A new file that has no write-ahead log yet, and that somebody writes to."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE theirs (n)")
    return other


def test_new_file_that_another_writes_to_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(held(path)) as other:
        pool = SqlitePool(path, size=2, timeout_s=30)
        later = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        later.start()
        try:
            pool.connect()
            assert pool.journal_mode == "wal"
            assert pool.get_tables() == ["theirs"]
        finally:
            later.join()
            pool.close()
            pool.close_idle()


def test_file_that_stays_locked_is_told_in_time(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(held(path)):
        began_at = time.monotonic()
        with pytest.raises(peewee.OperationalError, match="locked"):
            SqlitePool(path, size=2, timeout_s=1).connect()
        assert 1 <= time.monotonic() - began_at < 10
