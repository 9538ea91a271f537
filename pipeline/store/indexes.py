"""Indexes built anew and rows counted, on a connection of its own and beside work.

PostgreSQL leaves room in an index where rows were removed, and plans by what it counted last; its
autovacuum counts, too, but not at once after a restore or a cleanup.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DatabaseUnavailable
from pipeline.store.database import dialect, execute, session

#: An index waits so long for those who use its table, then it is left as it is, in milliseconds.
LOCK_MS = 10_000
#: One index takes no longer, in milliseconds.
INDEX_MS = 15 * 60 * 1000


@dataclass(slots=True)
class Indexed:
    """What was done, or would be; ``skipped``: indexes that somebody held, or that took too long.

    ``busy``: 1 when somebody else is at it.
    """

    indexes: int = 0
    tables: int = 0
    invalid: int = 0
    skipped: int = 0
    busy: int = 0


def update(url: str, *, dry_run: bool = False) -> Indexed:
    """Do so for every table of ours."""
    if dialect().postgres:
        return _update_postgres(url, dry_run=dry_run)
    with session():
        [(tables,)] = execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        if not dry_run:
            execute("ANALYZE")
            execute("PRAGMA optimize")
    return Indexed(tables=tables)


def _update_postgres(url: str, *, dry_run: bool) -> Indexed:
    told = Indexed()
    with _connection(url) as connection:
        # Let go with the connection, so that nobody who was killed keeps it.
        lock = "SELECT pg_try_advisory_lock(hashtextextended('quayline:indexes', 0))"
        if not connection.execute(lock).fetchone()[0]:
            told.busy = 1
            return told
        for name in _names(connection, "NOT i.indisvalid AND c.relname ~ '_ccnew[0-9]*$'"):
            # What is left of one that was killed.
            told.invalid += 1
            if not dry_run:
                told.skipped += not _done(connection, "DROP INDEX CONCURRENTLY IF EXISTS", name)
        for name in _names(connection, "i.indisvalid"):
            if dry_run or _done(connection, "REINDEX INDEX CONCURRENTLY", name):
                told.indexes += 1
            else:
                told.skipped += 1
        for (name,) in connection.execute(_TABLES).fetchall():
            told.tables += 1
            if not dry_run:
                _done(connection, "ANALYZE", name)
    return told


_TABLES = (
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
    " AND c.relkind = 'r' ORDER BY 1"
)


@contextmanager
def _connection(url: str) -> Iterator[Any]:
    import psycopg

    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(f"SET lock_timeout = {LOCK_MS}".encode())
            connection.execute(f"SET statement_timeout = {INDEX_MS}".encode())
            yield connection
    except psycopg.OperationalError as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatabaseUnavailable(f"The database does not answer: {why}") from error


def _names(connection: Any, where: str) -> list[str]:
    rows = connection.execute(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE c.relnamespace = current_schema()::regnamespace AND {where} ORDER BY 1"
    )
    return [name for (name,) in rows.fetchall()]


def _done(connection: Any, words: str, name: str) -> bool:
    """Do it; False when somebody held the lock, or it took too long, or the index is gone."""
    import psycopg
    from psycopg import sql

    try:
        connection.execute(sql.SQL(words + " {}").format(sql.Identifier(name)))
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.QueryCanceled,
        psycopg.errors.UndefinedObject,
        psycopg.errors.DeadlockDetected,
    ):
        return False
    return True
