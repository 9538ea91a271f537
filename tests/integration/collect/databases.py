"""Databases of three makers as the tests see them, apart from the code under test."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

DATABASE_ERRORS = (sqlite3.Error, psycopg.Error, pymysql.MySQLError)


def connect(url: str) -> Any:
    """A DB-API connection that commits each statement; timestamps are in UTC."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
    if url.startswith("postgresql"):
        return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/"),
        autocommit=True,
        charset="utf8mb4",
        init_command="SET time_zone = '+00:00'",
    )


def execute(url: str, *statements: str) -> None:
    with closing(connect(url)) as db:
        cursor = db.cursor()
        for each in statements:
            cursor.execute(each)
        cursor.close()


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(connect(url)) as db:
        cursor = db.cursor()
        cursor.execute(sql)
        found = list(cursor.fetchall())
        cursor.close()
        return found


def fill(url: str, table: str, names: str, values: Sequence[tuple[Any, ...]]) -> None:
    """The rows are inserted."""
    mark = "?" if url.startswith("sqlite") else "%s"
    places = ", ".join([mark] * len(values[0]))
    with closing(connect(url)) as db:
        cursor = db.cursor()
        cursor.execute("BEGIN")
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values))
        cursor.execute("COMMIT")
        cursor.close()
