"""The database of this process: one connection pool, sessions, and the two dialects' differences.

The hot statements of the machine work on sets and are written in SQL; ``Dialect`` holds the few
words in which PostgreSQL and SQLite differ. Everything else goes through the Peewee models.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import peewee
from playhouse.pool import MaxConnectionsExceeded

from pipeline import jsontext, metrics
from pipeline.errors import DatabaseUnavailable, Refused
from pipeline.store import changes

proxy = peewee.DatabaseProxy()
_url = ""

#: What a database that is away, restarting or out of connections raises.
AWAY = (peewee.OperationalError, peewee.InterfaceError, MaxConnectionsExceeded)

#: PostgreSQL walks indexes one entry at a time: that marks the entries of tasks that are no longer
#: in flight, and their room is used again; a bitmap scan reads all, every time, until a vacuum.
#: And it finds a batch's rows by their ids: a page read out of order is taken for four otherwise,
#: as on a turning disk, so that reading all of a table of some thousand rows seems cheaper.
_PLANS = "-c enable_bitmapscan=off -c random_page_cost=1.1"

_SQLITE_NOW = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words in which the two databases differ."""

    name: str

    @property
    def postgres(self) -> bool:
        """True on PostgreSQL."""
        return self.name == "postgresql"

    @property
    def now(self) -> str:
        """SQL for the database's clock; the SQLite form sorts as text."""
        return "statement_timestamp()" if self.postgres else _SQLITE_NOW

    def later(self, seconds: str) -> str:
        """Return SQL for the database's clock plus the SQL expression ``seconds``."""
        if self.postgres:
            return f"(statement_timestamp() + ({seconds}) * interval '1 second')"
        return f"{_SQLITE_NOW[:-1]}, printf('%%+.3f seconds', {seconds}))"

    def moved(self, column: str, seconds: str) -> str:
        """Return SQL for the column's time plus the SQL expression ``seconds``."""
        if self.postgres:
            return f"({column} + ({seconds}) * interval '1 second')"
        moved = _SQLITE_NOW.replace("'now')", column)
        return f"{moved}, printf('%%+.3f seconds', {seconds}))"

    def rows(self, columns: Mapping[str, str]) -> str:
        """Return SQL of a row source named ``r`` that reads one JSON array parameter.

        ``columns`` maps names to PostgreSQL types. One parameter whatever the number of rows: no
        limit of parameters (65,535 in psycopg 3), one plan, no quoting per row.
        """
        if self.postgres:
            typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            return f"json_to_recordset(%s::json) AS r({typed})"
        picked = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
        return f"(SELECT {picked} FROM json_each(%s)) AS r"

    def among(self, column: str) -> str:
        """Return SQL that is true where ``column`` is in a set of ids: one ``ids`` parameter."""
        if self.postgres:
            return f"{column} = ANY(%s::uuid[])"
        return f"{column} IN (SELECT value FROM json_each(%s))"

    def locked(self, table: str, where: str) -> str:
        """Return SQL that is true for those rows of the table, each locked in the order of the ids.

        Whoever changes several rows takes them in that order, so that no two wait for each other:
        PostgreSQL ends such a circle by its clock, which may be set back.
        """
        in_order = " ORDER BY id FOR UPDATE" if self.postgres else ""
        return f"id IN (SELECT id FROM {table} WHERE {where}{in_order})"

    def ids(self, values: Iterable[uuid.UUID]) -> Any:
        """Return the parameter of ``among``."""
        told = [value.hex for value in values]
        # As PostgreSQL writes an array: the driver would look at each id for what to escape.
        return f"{{{','.join(told)}}}" if self.postgres else as_json(told)


_SQLITE, _POSTGRES = Dialect("sqlite"), Dialect("postgresql")


def dialect() -> Dialect:
    """Return the dialect of the open database."""
    return _SQLITE if isinstance(proxy.obj, peewee.SqliteDatabase) else _POSTGRES


def open_database(url: str, *, pool: int = 20, timeout_s: float = 10.0) -> None:
    """Bind the models to the database at ``url``; no connection is made yet.

    One process works on one database. A second call with the same URL changes nothing, with
    another one it raises ``Refused``; ``close_database`` comes first.
    """
    global _url
    if proxy.obj is not None:
        if _url == url:
            return
        raise Refused("This process already works on another database; close its client first.")
    proxy.initialize(_connectable(url, pool, timeout_s))
    _url = url


def close_database() -> None:
    """Close this thread's connection and the idle ones, and unbind the models.

    A connection that another thread is using closes with its last reference: SQLite crashes when
    one is closed under a statement.
    """
    if proxy.obj is not None:
        if dialect().postgres:
            proxy.obj.end()
        proxy.obj.close()
        proxy.obj.close_idle()
        proxy.initialize(None)


def _connectable(url: str, pool: int, timeout_s: float) -> peewee.Database:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = Path(url.removeprefix("sqlite:///")).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(
                f"The folder {path.parent} cannot be made: {error}."
            ) from error
        from pipeline.store.sqlite import SqlitePool

        return SqlitePool(path, size=pool, timeout_s=timeout_s)
    if parts.scheme in ("postgresql", "postgres"):
        # By hand: geturl() drops the // before an empty host (postgresql:///db?host=/run/postgresql).
        conninfo = f"postgresql:{url.partition(':')[2]}"
        limits = {**_patience(timeout_s), **dict(parse_qsl(parts.query))}
        # Not at the top: an embedded process needs no driver of PostgreSQL.
        from pipeline.store.pool import PostgresPool

        return PostgresPool(conninfo, size=pool, timeout_s=timeout_s, **limits)
    raise Refused(
        f"The database URL must begin with postgresql:// or sqlite:///, not {parts.scheme!r}."
    )


def _patience(timeout_s: float) -> dict[str, Any]:
    """Return libpq's settings: above all how long a frozen process or a lost network is borne.

    A process that stops inside a transaction (frozen, or its machine gone) would keep its locks,
    and so everybody, until the kernel's keepalive gives up two hours later.
    """
    idle_ms = int(timeout_s * 3 * 1000)
    return {
        # A database made without an encoding (SQL_ASCII) would hand out bytes.
        "client_encoding": "UTF8",
        "connect_timeout": max(2, int(timeout_s)),
        # Each statement is planned for the tables as they are: of a prepared one PostgreSQL would
        # keep the plan that it made for empty tables until somebody analyzes them. Not by
        # plan_cache_mode: that plans each check of a foreign key anew, for every row.
        "prepare_threshold": None,
        "options": f"-c idle_in_transaction_session_timeout={idle_ms} {_PLANS}",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


@contextmanager
def session() -> Iterator[None]:
    """Hold a pooled connection for this thread while the block runs.

    Nested sessions share it. The outermost gives it back, so that a thread that ends leaks no
    slot and a connection that broke is thrown away instead of failing for ever. A database that
    is away raises ``DatabaseUnavailable``.
    """
    database: Any = proxy.obj
    outermost = database.is_closed() or _let_go(database)
    try:
        if outermost:
            _take(database)
        with _watched(database) if outermost else nullcontext():
            if outermost:
                metrics.POOL_USED.move(1)
            try:
                yield
            finally:
                if outermost:
                    metrics.POOL_USED.move(-1)
                    if not database.is_closed():
                        _give_back(database)
    except AWAY as error:
        metrics.DATABASE_FAILURES.add()
        told = _first_line(_cause(error))
        raise DatabaseUnavailable(f"The database does not answer: {told}") from error


def _let_go(database: Any) -> bool:
    """Give up a dead connection that this thread still has, outside of any transaction; True when
    there was one. Whoever left it there, the thread would fail for ever."""
    if not dialect().postgres or database.in_transaction() or not database.connection().closed:
        return False
    _give_back(database)
    return True


def _take(database: Any) -> None:
    """Take a connection for this thread, or none: one that is lost while it is being taken is not
    kept. Whoever came next in the thread would take it for that of a session around."""
    try:
        database.connect(reuse_if_open=True)
    except BaseException:
        if not database.is_closed():
            database.manual_close()
        raise


def _watched(database: Any) -> AbstractContextManager[None]:
    return database.watched() if dialect().postgres else nullcontext()


def _give_back(database: Any) -> None:
    try:
        database.close()
    except peewee.PeeweeException:
        database.manual_close()


def _cause(error: BaseException) -> BaseException:
    """Return what went wrong first: SQLite rolls back by itself on a full disk, and Peewee's own
    rollback then fails and hides it."""
    first, behind = error, error.__context__
    while behind is not None:
        if isinstance(behind, AWAY):
            first = behind
        behind = behind.__context__
    return first


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def transaction() -> Iterator[None]:
    """Run the block in one transaction; SQLite takes its write lock at once: no deadlock."""
    database: Any = proxy.obj
    with session():
        if database.in_transaction():
            with database.atomic():
                yield
        else:
            with changes.told(), database.atomic(*() if dialect().postgres else ("IMMEDIATE",)):
                yield


@contextmanager
def snapshot() -> Iterator[None]:
    """Let the block read, in several statements, what was committed at one moment."""
    database: Any = proxy.obj
    with session(), database.atomic():
        if dialect().postgres:
            execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def execute(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement written with ``%s`` placeholders; return its rows, or ``[]``."""
    cursor = _run(sql, parameters)
    # What psycopg's cursors say at once; their description is made for each who asks.
    has_rows = cursor.rownumber is not None if dialect().postgres else cursor.description
    return list(cursor.fetchall()) if has_rows else []


def changed(sql: str, *parameters: Any) -> int:
    """Run one statement that changes rows, as ``execute`` does; return how many it changed."""
    return int(_run(sql, parameters).rowcount)


def _run(sql: str, parameters: Sequence[Any]) -> Any:
    if dialect().postgres:
        return proxy.obj.run(sql, parameters)
    return proxy.obj.execute_sql(sql.replace("%s", "?").replace("%%", "%"), parameters)


def stream(sql: str, parameters: Sequence[Any], *, chunk: int = 500) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a keyset query: ``sql`` ends in ``> %s … LIMIT %s`` on its first column.

    ``parameters`` ends with the value before the first key. Memory holds one chunk.
    """
    *fixed, last = parameters
    while True:
        with session():
            rows = execute(sql, *fixed, last, chunk)
        yield from rows
        if len(rows) < chunk:
            return
        last = rows[-1][0]


def as_uuid(value: uuid.UUID | str) -> uuid.UUID:
    """Return an id as both databases hand it out."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def as_json(value: Any) -> str:
    """Return compact JSON for a parameter."""
    return jsontext.encoded(value).decode()


def lock(name: str) -> None:
    """Hold the named lock until the transaction ends; on SQLite the transaction is the lock."""
    if dialect().postgres:
        execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", f"quayline:{name}")
