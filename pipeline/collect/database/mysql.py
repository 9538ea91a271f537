"""MySQL and MariaDB by PyMySQL."""

# ruff: noqa: S608 - names are quoted here, values are parameters

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.cursors import SSCursor

from pipeline.collect.database.columns import Column, Kind, UniqueKey
from pipeline.collect.database.connection import (
    CONNECT_S,
    Connection,
    DatabaseTrouble,
    Row,
    TableName,
)
from pipeline.collect.database.mysql_fields import column_of, reader_of
from pipeline.collect.errors import ConfigRefused

_TYPES = {
    Kind.INTEGER: "BIGINT",
    Kind.DECIMAL: "DECIMAL(65,30)",
    Kind.FLOAT: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "LONGTEXT",
    Kind.BYTES: "LONGBLOB",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME(6)",
    Kind.TIMESTAMP: "DATETIME(6)",
    Kind.TIMESTAMPTZ: "DATETIME(6)",
    Kind.JSON: "JSON",
    Kind.OTHER: "LONGTEXT",
}
_MOST_DIGITS = 65
_MOST_SCALE = 30
# Gone away, lost, lock wait, deadlock, too many connections, shutting down, cannot connect; then
# killed, interrupted, node not ready, closed for idleness.
_PASSING = frozenset({2002, 2003, 2006, 2013, 2014, 1040, 1053, 1205, 1213})
_PASSING |= {1927, 1317, 1047, 4031}
_MORE_THAN_ONE_ROW = 1242
_IN_THE_WAY = (
    "MySQL: a row of another key is in the way of a row: the two are one to another unique index"
    " of the target, or their keys differ in nothing but case or spaces at their end"
)
_OPTIONS = frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"})
_SESSION = (
    "SET SESSION time_zone = '+00:00',"
    " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO',"
    # While a batch is written to a slow target, nobody reads on.
    " net_write_timeout = 3600"
)
_UNIQUE_KEYS = """
SELECT index_name = 'PRIMARY', GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR '\\0')
FROM information_schema.statistics
WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s AND non_unique = 0
GROUP BY index_name
HAVING SUM(sub_part IS NOT NULL OR column_name IS NULL) = 0
ORDER BY index_name = 'PRIMARY' DESC, index_name
"""
_EXISTS = """
SELECT COUNT(*) FROM information_schema.tables
WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s
"""


class MySQL(Connection):
    """The session's time zone is UTC and its mode is strict."""

    quotes = "`"

    def __init__(self, url: str, password: str | None, timeout_s: float) -> None:
        with _trouble():
            self._db = pymysql.connect(
                **_address(url, password),
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=CONNECT_S,
                read_timeout=timeout_s,
                write_timeout=timeout_s,
                program_name="quayline-collect",
            )
            self.execute(_SESSION)
        mariadb = "mariadb" in self._db.get_server_info().lower()
        # Neither case nor trailing spaces make two keys one.
        self._exact = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        with _trouble(), self._db.cursor() as cursor:
            return int(cursor.execute(sql, tuple(values)))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with _trouble(), self._db.cursor() as cursor:
            try:
                cursor.executemany(sql, [tuple(row) for row in rows])
            except pymysql.OperationalError as error:
                if error.args[0] != _MORE_THAN_ONE_ROW:
                    raise
                raise DatabaseTrouble(_IN_THE_WAY, passing=False) from error

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        with _trouble(), self._db.cursor() as cursor:
            cursor.execute(sql, tuple(values))
            return list(cursor.fetchall())

    def stream(
        self, sql: str, values: Sequence[Any], columns: Sequence[Column]
    ) -> Generator[Row, None, None]:
        found = ((place, reader_of(each)) for place, each in enumerate(columns))
        readers = [(place, reader) for place, reader in found if reader is not None]
        with _trouble():
            cursor = SSCursor(self._db)
            try:
                cursor.execute(sql, tuple(values))
                while (row := cursor.fetchone()) is not None:
                    told = list(row)
                    for place, reader in readers:
                        if told[place] is not None:
                            told[place] = reader(told[place])
                    yield tuple(told)
            except BaseException:
                # What is left of the answer is still on its way: the connection is of no use.
                self.close()
                raise
            cursor.close()

    def describe(self, sql: str) -> list[Column]:
        with _trouble(), self._db.cursor() as cursor:
            cursor.execute(f"{sql} LIMIT 0", ())
            return [column_of(each) for each in cursor._result.fields]

    def selected(self, column: Column) -> str:
        # A FLOAT is sent as six digits of itself, a DOUBLE as what it is.
        if column.native == "float":
            return f"({self.name(column.name)} + 0e0) AS {self.name(column.name)}"
        return self.name(column.name)

    def sorted_by(self, column: Column) -> str:
        # An ENUM is ordered by number and compared as text, unless it is made text first.
        if column.native == "enum":
            return f"CAST({self.name(column.name)} AS CHAR)"
        return self.name(column.name)

    def exists(self, table: TableName) -> bool:
        return bool(self.query(_EXISTS, _schema_and_name(table))[0][0])

    def unique_keys(self, table: TableName) -> list[UniqueKey]:
        rows = self.query(_UNIQUE_KEYS, _schema_and_name(table))
        return [UniqueKey(tuple(told.split("\0")), bool(primary)) for primary, told in rows]

    def type_of(self, column: Column, *, key: bool) -> str:
        if key and column.kind in (Kind.TEXT, Kind.OTHER):
            return f"VARCHAR(255) CHARACTER SET utf8mb4 COLLATE {self._exact}"
        if key and column.kind is Kind.BYTES:
            return "VARBINARY(255)"
        if column.kind is Kind.DECIMAL and column.precision:
            scale = column.scale or 0
            if column.precision <= _MOST_DIGITS and 0 <= scale <= _MOST_SCALE:
                return f"DECIMAL({column.precision},{scale})"
        if column.kind in (Kind.TEXT, Kind.OTHER):
            return f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {self._exact}"
        return _TYPES[column.kind]

    def upsert(self, table: TableName, columns: Sequence[str], keys: Sequence[str]) -> str:
        names = ", ".join(map(self.name, columns))
        places = ", ".join([self.placeholder] * len(columns))
        # Any unique index makes a duplicate, and its collation says what is equal. So a key is set
        # to itself where it is the same, and to an error (_MORE_THAN_ONE_ROW) where it is not.
        same = " AND ".join(
            f"CAST({name} AS BINARY) = CAST(VALUES({name}) AS BINARY)"
            for name in map(self.name, keys)
        )
        key = self.name(keys[0])
        changes = [f"{key} = IF({same}, {key}, (SELECT NULL UNION ALL SELECT NULL))"]
        others = [self.name(each) for each in columns if each not in keys]
        changes += [f"{name} = VALUES({name})" for name in others]
        return (
            f"INSERT INTO {self.table(table)} ({names}) VALUES ({places})"
            f" ON DUPLICATE KEY UPDATE {', '.join(changes)}"
        )

    def bound(self, value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def now(self) -> datetime:
        return self.query("SELECT UTC_TIMESTAMP(6)")[0][0].replace(tzinfo=UTC)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield
        self.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with _trouble():
            self._db.begin()
            try:
                yield
            except BaseException:
                # Of a lost connection nothing stays, and why it was lost is what counts.
                with suppress(pymysql.MySQLError, OSError):
                    self._db.rollback()
                raise
            self._db.commit()

    def close(self) -> None:
        result, self._db._result = self._db._result, None
        if result is not None and result.unbuffered_active:
            # Otherwise all that is left of a long answer would be read first.
            result.unbuffered_active = False
        self._db._force_close()


def _address(url: str, password: str | None) -> dict[str, Any]:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    for name in sorted(options.keys() - _OPTIONS):
        raise ConfigRefused(f"The MySQL URL has an unknown option {name!r}.")
    if not parts.path.strip("/"):
        raise ConfigRefused("The MySQL URL has to name a database: mysql://host/database.")
    if password is None:
        password = unquote(parts.password or "")
    return {
        "host": parts.hostname or "localhost",
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": password,
        "database": unquote(parts.path.strip("/")),
        **options,
    }


def _schema_and_name(table: TableName) -> tuple[str | None, str]:
    return (table[0] if len(table) > 1 else None), table[-1]


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except pymysql.MySQLError as error:
        code, *rest = error.args or (0,)
        told = rest[0] if rest else error
        raise DatabaseTrouble(f"MySQL: {told}", passing=code in _PASSING) from error
    except (OSError, RuntimeError) as error:
        passing = isinstance(error, OSError)
        raise DatabaseTrouble(f"MySQL: {error}", passing=passing) from error
