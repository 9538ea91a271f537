"""SQLite, a file."""

# ruff: noqa: S608 - names are quoted here, values are parameters

import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.collect.database.columns import Column, Kind, UniqueKey
from pipeline.collect.database.connection import Connection, DatabaseTrouble, Row, TableName
from pipeline.collect.errors import ConfigRefused

_PREFIX = "sqlite:///"
#: Variable that names the folders of the only files that are opened, as PATH does; not set: all.
FOLDERS = "SQLITE_FOLDERS"
_MOST_INTEGER = 2**63 - 1
# The first that is part of a declared type; what is behind it is its kind.
_DECLARED = (
    ("TIMESTAMPTZ", Kind.TIMESTAMPTZ),
    ("WITH TIME ZONE", Kind.TIMESTAMPTZ),
    ("TIMESTAMP", Kind.TIMESTAMP),
    ("DATETIME", Kind.TIMESTAMP),
    ("DATE", Kind.DATE),
    ("TIME", Kind.TIME),
    ("JSON", Kind.JSON),
    ("BOOL", Kind.BOOLEAN),
    ("DEC", Kind.DECIMAL),
    ("NUMERIC", Kind.DECIMAL),
    ("INT", Kind.INTEGER),
    ("CHAR", Kind.TEXT),
    ("CLOB", Kind.TEXT),
    ("TEXT", Kind.TEXT),
    ("BLOB", Kind.BYTES),
    ("REAL", Kind.FLOAT),
    ("FLOA", Kind.FLOAT),
    ("DOUB", Kind.FLOAT),
)
_TYPES = {
    Kind.INTEGER: "INTEGER",
    # Numbers of this type would lose digits: TEXT in its name keeps them text.
    Kind.DECIMAL: "DECIMAL TEXT",
    Kind.FLOAT: "REAL",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "TEXT",
    Kind.BYTES: "BLOB",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
    Kind.JSON: "JSON TEXT",
    Kind.OTHER: "",
}


def _check_place(path: Path) -> None:
    """Refuse a file outside of the folders that this process may open; not set: any."""
    told = os.environ.get(FOLDERS)
    if told is None:
        return
    folders = [Path(each).resolve() for each in told.split(os.pathsep) if each]
    if not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise ConfigRefused(
            "Without Docker, SQLite files are opened in the folders of QUAYLINE_SQLITE_FOLDERS"
            f" only, and {path} is in none of them."
        )


def _may(action: int, *_: object) -> int:
    """Another file is attached by nobody's query."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


class SQLite(Connection):
    """A source is opened read-only and has to be there; a target is made."""

    placeholder = "?"

    def __init__(self, url: str, timeout_s: float, *, read_only: bool) -> None:
        path = Path(unquote(url.removeprefix(_PREFIX)))
        if not path.name:
            raise ConfigRefused("The SQLite URL has to name a file: sqlite:///folder/file.db.")
        _check_place(path)
        mode = "ro" if read_only else "rwc"
        with _trouble():
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.set_authorizer(_may)

    def literal(self, sql: str) -> str:
        return sql

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        with _trouble():
            return self._db.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with _trouble():
            self._db.executemany(sql, rows)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with _trouble():
            return self._db.execute(sql, values).fetchall()

    def stream(
        self, sql: str, values: Sequence[Any], columns: Sequence[Column]
    ) -> Generator[Row, None, None]:
        with _trouble(), closing(self._db.execute(sql, values)) as cursor:
            yield from cursor

    def describe(self, sql: str) -> list[Column]:
        # Only a view knows the declared types of a query's columns.
        self.execute("DROP VIEW IF EXISTS temp.described")
        self.execute(f"CREATE TEMP VIEW described AS {sql}")
        rows = self.query("PRAGMA temp.table_info(described)")
        self.execute("DROP VIEW temp.described")
        return [Column(name, _kind(told)) for _, name, told, *_ in rows]

    def exists(self, table: TableName) -> bool:
        return bool(self.query(f"PRAGMA {self._pragma('table_info', table)}"))

    def unique_keys(self, table: TableName) -> list[UniqueKey]:
        info = self.query(f"PRAGMA {self._pragma('table_info', table)}")
        primary = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        keys: list[UniqueKey] = []
        for row in self.query(f"PRAGMA {self._pragma('index_list', table)}"):
            _, name, unique, origin, partial = row
            if unique and not partial:
                index = self._pragma("index_xinfo", (*table[:-1], name))
                parts = [each for each in self.query(f"PRAGMA {index}") if each[5]]
                columns, collations = [each[2] for each in parts], {each[4] for each in parts}
                if None not in columns:
                    exact = collations == {"BINARY"}
                    keys.append(UniqueKey(tuple(columns), origin == "pk", exact))
        if primary and not any(key.primary for key in keys):
            # The number of the row, which has no index.
            keys.append(UniqueKey(tuple(primary), True))
        return sorted(keys, key=lambda key: not key.primary)

    def _pragma(self, pragma: str, table: TableName) -> str:
        schema = f"{self.name(table[0])}." if len(table) > 1 else ""
        return f"{schema}{pragma}({self.name(table[-1])})"

    def type_of(self, column: Column, *, key: bool) -> str:
        return _TYPES[column.kind]

    def upsert(self, table: TableName, columns: Sequence[str], keys: Sequence[str]) -> str:
        names = ", ".join(map(self.name, columns))
        places = ", ".join([self.placeholder] * len(columns))
        changes = [f"{self.name(c)} = excluded.{self.name(c)}" for c in columns if c not in keys]
        action = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
        conflict = ", ".join(map(self.name, keys))
        return (
            f"INSERT INTO {self.table(table)} ({names}) VALUES ({places})"
            f" ON CONFLICT ({conflict}) DO {action}"
        )

    def bound(self, value: Any) -> Any:
        if isinstance(value, datetime):
            moment = value if value.tzinfo is None else value.astimezone(UTC)
            return moment.isoformat(sep=" ")
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, Decimal | timedelta):
            return str(value)
        if isinstance(value, int) and not -_MOST_INTEGER <= value <= _MOST_INTEGER:
            return str(value)
        return value

    def now(self) -> datetime:
        return datetime.now(UTC)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("BEGIN")
        yield
        self.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def _kind(declared: str) -> Kind:
    told = declared.upper()
    return next((kind for part, kind in _DECLARED if part in told), Kind.OTHER)


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        passing = "locked" in str(error) or "busy" in str(error)
        raise DatabaseTrouble(f"SQLite: {error}", passing=passing) from error
