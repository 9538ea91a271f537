"""Which database a URL names."""

from urllib.parse import parse_qsl, urlsplit

from pipeline.collect.config.database import SCHEMES, Source, Table, Target
from pipeline.collect.database.connection import Connection, TableName
from pipeline.collect.errors import ConfigRefused
from pipeline.collect.secrets import reveal


def open_database(end: Source | Target, timeout_s: float) -> Connection:
    """Return a connection; only the driver that it needs is loaded.

    Raises ``ConfigRefused`` for a URL that names none, ``DatabaseTrouble`` where nobody answers.
    """
    url = reveal(end.url)
    password = reveal(end.password) if end.password is not None else None
    try:
        scheme, _ = urlsplit(url).scheme, urlsplit(url).port
    except ValueError:
        scheme = ""
    if not url.startswith(SCHEMES) or not scheme:
        raise ConfigRefused("A database URL has to look like postgresql://user@host/database.")
    if scheme == "sqlite":
        from pipeline.collect.database.sqlite import SQLite

        return SQLite(url, timeout_s, read_only=isinstance(end, Source))
    if scheme in ("mysql", "mariadb"):
        from pipeline.collect.database.mysql import MySQL

        return MySQL(url, password, timeout_s)
    from pipeline.collect.database.postgresql import PostgreSQL

    return PostgreSQL(url, password, timeout_s)


def place(end: Source | Target) -> str:
    """Return what a database is told apart by: all of its URL but passwords.

    The user and the options count: they may say whose schema a table's name means.
    """
    parts = urlsplit(reveal(end.url))
    user, _, _ = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    options = sorted(each for each in parse_qsl(parts.query) if "password" not in each[0])
    return f"{parts.scheme}://{user}@{host}{parts.path}?{options}"


def table_name(told: Table) -> TableName:
    """Return the parts of a table's name."""
    parts = told.split(".") if isinstance(told, str) else told
    if len(parts) > 2 or not all(parts):
        raise ConfigRefused(f"{told!r} is no table: give table, schema.table, or a list of both.")
    return tuple(parts)
