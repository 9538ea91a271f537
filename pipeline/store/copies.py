"""Copies of all rows at one moment, taken beside work, and put back whole.

A copy is a file: SQLite's own, made by its online backup, or what ``pg_dump`` writes.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import DatabaseUnavailable, Permanent

Rows = Iterator[tuple[Any, ...]]

#: Rows of a copy that are read at a time.
CHUNK = 500


class Frozen:
    """The rows as they were at one moment."""

    def __init__(self, connection: Any, placeholder: str, snapshot: str = "") -> None:
        self._connection = connection
        self._placeholder = placeholder
        #: PostgreSQL's name of the moment; "" on SQLite.
        self.snapshot = snapshot

    def read(self, sql: str, parameters: Sequence[Any]) -> Rows:
        """Yield the rows of a keyset query, as ``database.stream`` does."""
        *fixed, last = parameters
        while True:
            rows = self._rows(sql, (*fixed, last, CHUNK))
            yield from rows
            if len(rows) < CHUNK:
                return
            last = rows[-1][0]

    def has(self, sql: str, *parameters: Any) -> bool:
        """Tell whether the query has a row."""
        return bool(self._rows(sql, parameters))

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        told = sql.replace("%s", self._placeholder)
        return list(self._connection.execute(told, tuple(parameters)).fetchall())


@contextmanager
def frozen_postgres(url: str) -> Iterator[tuple[Frozen, int]]:
    """Yield the rows as they are now, and the server's major version, while the block runs."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            # It idles while the dump is written.
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            connection.commit()
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            told = connection.execute("SELECT pg_export_snapshot()").fetchone()
            assert told is not None
            major = connection.info.server_version // 10_000
            yield Frozen(connection, "%s", told[0]), major
    except psycopg.OperationalError as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DatabaseUnavailable(f"The database does not answer: {why}") from error


def server_of(url: str) -> int:
    """Return the major version of the PostgreSQL server."""
    with frozen_postgres(url) as (_, major):
        return major


@contextmanager
def frozen_sqlite(copy: Path) -> Iterator[Frozen]:
    """Yield the rows of a copy."""
    with closing(sqlite3.connect(_unchanging(copy), uri=True)) as connection:
        yield Frozen(connection, "?")


def copy_sqlite(source: Path, to: Path, *, timeout_s: float, is_copy: bool = False) -> None:
    """``to`` holds what the source does at one moment, and what was in it is gone; or it is as it
    was. Others may read and write both, but for a source that is a copy itself."""
    place = _unchanging(source) if is_copy else str(source)
    try:
        with (
            closing(sqlite3.connect(place, timeout=timeout_s, uri=is_copy)) as rows,
            closing(sqlite3.connect(to, timeout=timeout_s)) as copy,
        ):
            # All in one step: readers are in nobody's way, and nobody in theirs.
            rows.backup(copy, pages=-1)
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailable(f"The database does not answer: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Permanent(f"The database cannot be copied: {error}.") from error


def _unchanging(copy: Path) -> str:
    """Return the address of a file that nobody writes: SQLite puts nothing beside it."""
    return f"file:{quote(str(copy.absolute()))}?mode=ro&immutable=1"
