"""PostgreSQL by psycopg."""

# ruff: noqa: S608 - names are quoted here, values are parameters

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.types.string import TextLoader

from pipeline.collect.database.columns import Column, Kind, UniqueKey
from pipeline.collect.database.connection import (
    CONNECT_S,
    Connection,
    DatabaseTrouble,
    Row,
    TableName,
)

_KINDS = {
    **dict.fromkeys((20, 21, 23, 26), Kind.INTEGER),
    **dict.fromkeys((700, 701), Kind.FLOAT),
    **dict.fromkeys((18, 19, 25, 1042, 1043), Kind.TEXT),
    **dict.fromkeys((114, 3802), Kind.JSON),
    16: Kind.BOOLEAN,
    17: Kind.BYTES,
    1082: Kind.DATE,
    1083: Kind.TIME,
    1114: Kind.TIMESTAMP,
    1184: Kind.TIMESTAMPTZ,
    1700: Kind.DECIMAL,
}
_CLOCKS = frozenset({Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
_TYPES = {
    Kind.INTEGER: "BIGINT",
    Kind.DECIMAL: "NUMERIC",
    Kind.FLOAT: "DOUBLE PRECISION",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "TEXT",
    Kind.BYTES: "BYTEA",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
    Kind.JSON: "JSONB",
    Kind.OTHER: "TEXT",
}
# The server ends a statement at the timeout; this is for servers that do not answer at all.
_GRACE_S = 2.0
_KEEPALIVE_S = 30
_FETCH_BYTES = 4 * 1024 * 1024
# Rows may be of any size, so that their number grows step by step.
_FETCH_GROWTH = 4
_MOST_FETCH_ROWS = 256
# Out of our hands, but likely to pass: lost, shut down, deadlocked, not serializable, too many.
_PASSING = ("08", "40", "53", "57P")

_UNIQUE_KEYS = """
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.place),
    bool_and(t.typname <> 'citext' AND COALESCE(c.collisdeterministic, true))
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid
"""


class _Patient(psycopg.Connection[Row]):
    """Waits for an answer so long only as something of it comes now and then."""

    silence_s = math.inf

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._heard(gen), *args, **kwargs)

    def _heard(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            wanted = next(gen)
            until = time.monotonic() + self.silence_s
            while True:
                ready = yield wanted
                if ready:
                    until = time.monotonic() + self.silence_s
                elif time.monotonic() > until:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer for {self.silence_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgreSQL(Connection):
    """Types that other databases do not have come and go as PostgreSQL's own text of them."""

    def __init__(self, url: str, password: str | None, timeout_s: float) -> None:
        given = {"password": password} if password is not None else {}
        with _trouble():
            self._db = _Patient.connect(
                url,
                autocommit=True,
                connect_timeout=CONNECT_S,
                keepalives_idle=_KEEPALIVE_S,
                keepalives_interval=_KEEPALIVE_S,
                tcp_user_timeout=int(timeout_s * 1000),
                application_name="quayline-collect",
                **cast("dict[str, Any]", given),
            )
            self._db.silence_s = timeout_s + _GRACE_S
            self._db.execute("SELECT set_config('timezone', 'UTC', false)")
            limit_ms = f"{int(timeout_s * 1000)}"
            self._db.execute("SELECT set_config('statement_timeout', %s, false)", (limit_ms,))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        with _trouble():
            return self._db.execute(cast("Any", sql), values).rowcount

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with _trouble(), self._db.cursor() as cursor:
            cursor.executemany(cast("Any", sql), rows)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with _trouble():
            return self._db.execute(cast("Any", sql), values).fetchall()

    def stream(
        self, sql: str, values: Sequence[Any], columns: Sequence[Column]
    ) -> Generator[Row, None, None]:
        with _trouble(), self._db.cursor(name="rows") as cursor:
            cursor.execute(cast("Any", sql), values)
            size = 1
            while rows := cursor.fetchmany(size):
                yield from rows
                size_bytes = sum(len(v) for row in rows for v in row if isinstance(v, str | bytes))
                fit = _FETCH_BYTES * len(rows) // max(size_bytes, 1)
                size = max(1, min(_MOST_FETCH_ROWS, size * _FETCH_GROWTH, fit))

    def describe(self, sql: str) -> list[Column]:
        with _trouble():
            cursor = self._db.execute(cast("Any", f"{sql} LIMIT 0"), ())
            return [self._column(each) for each in cursor.description or ()]

    def _column(self, told: psycopg.Column) -> Column:
        kind = _KINDS.get(told.type_code, Kind.OTHER)
        known = psycopg.adapters.types.get(told.type_code)
        native = None
        if kind in (Kind.OTHER, Kind.JSON):
            self._db.adapters.register_loader(told.type_code, TextLoader)
            if known is not None:
                native = (
                    f"{known.regtype}[]" if told.type_code == known.array_oid else known.regtype
                )
        if kind in _CLOCKS:
            return Column(told.name, kind, scale=told.precision, native=native)
        return Column(told.name, kind, told.precision, told.scale, native)

    def exists(self, table: TableName) -> bool:
        return self.query("SELECT to_regclass(%s) IS NOT NULL", (self._regclass(table),))[0][0]

    def unique_keys(self, table: TableName) -> list[UniqueKey]:
        rows = self.query(_UNIQUE_KEYS, (self._regclass(table),))
        return [UniqueKey(tuple(columns), primary, exact) for primary, columns, exact in rows]

    def _regclass(self, table: TableName) -> str:
        return self.table(table).replace("%%", "%")

    def type_of(self, column: Column, *, key: bool) -> str:
        if column.kind is Kind.DECIMAL and column.precision:
            return f"NUMERIC({column.precision},{column.scale or 0})"
        return column.native or _TYPES[column.kind]

    def upsert(self, table: TableName, columns: Sequence[str], keys: Sequence[str]) -> str:
        names = ", ".join(map(self.name, columns))
        places = ", ".join([self.placeholder] * len(columns))
        changes = [f"{self.name(c)} = EXCLUDED.{self.name(c)}" for c in columns if c not in keys]
        action = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
        conflict = ", ".join(map(self.name, keys))
        return (
            f"INSERT INTO {self.table(table)} ({names}) VALUES ({places})"
            f" ON CONFLICT ({conflict}) DO {action}"
        )

    def bound(self, value: Any) -> Any:
        return value

    def now(self) -> datetime:
        return self.query("SELECT clock_timestamp()")[0][0]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
        self.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with _trouble(), self._db.transaction():
            yield

    def close(self) -> None:
        self._db.close()


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate
        lost = state is None and isinstance(error, psycopg.OperationalError)
        told = " ".join(str(error).split())
        passing = lost or (state or "").startswith(_PASSING)
        raise DatabaseTrouble(f"PostgreSQL: {told}", passing=passing) from error
