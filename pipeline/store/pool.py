"""The pool of connections to PostgreSQL: on a server that hangs, everybody is told in time.

Peewee's pool asks the server whether an idle connection still stands, and opens new ones, under
its lock: a round trip a session, and where nobody answers each thread would wait for all before it.
"""

import math
import select
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from peewee import __exception_wrapper__  # type: ignore[attr-defined]  # not in its stubs
from playhouse.pool import PooledPostgresqlDatabase

from pipeline.store.watch import Watch

#: So long after it let somebody wait in vain, a server is not tried again.
PAUSE_S = 1.0


class PostgresPool(PooledPostgresqlDatabase):
    """At most ``size`` connections; a caller waits about ``timeout_s`` for one or for an answer."""

    def __init__(self, url: str, *, size: int, timeout_s: float, **libpq: Any) -> None:
        self._hung_at = -PAUSE_S
        self._caller = threading.local()
        self._watch = Watch(self._answers, timeout_s)
        # Whole seconds: a fraction would count as no limit at all.
        limits = {"max_connections": size, "timeout": math.ceil(timeout_s)}
        super().__init__(url, prefer_psycopg3=True, **limits, **libpq)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection for this thread."""
        self._caller.came_at = time.monotonic()
        return bool(super().connect(reuse_if_open))

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a statement and return this thread's own cursor, whose rows the next one replaces.

        A new cursor for each, as Peewee takes, costs as much as the statement itself.
        """
        with __exception_wrapper__:
            connection = self.connection()
            cursor = getattr(self._caller, "cursor", None)
            if cursor is None or cursor.connection is not connection:
                cursor = self._caller.cursor = connection.cursor()
            return cursor.execute(sql, parameters)

    def begin(self, isolation_level: str | None = None) -> None:
        """Begin a transaction."""
        if isolation_level is None:
            self.run("BEGIN")
        else:
            super().begin(isolation_level)

    def commit(self) -> None:
        """Commit; it fails on a connection that has been given up."""
        if self.is_closed():
            super().commit()
        else:
            self.run("COMMIT")

    def watched(self) -> AbstractContextManager[None]:
        """Watch over what this thread does with its connection while the block runs."""
        return self._watch.over(self.connection())

    def end(self) -> None:
        """Watch no more."""
        self._watch.close()

    def _connect(self) -> Any:
        if self._caller.came_at < self._hung_at + PAUSE_S:
            raise psycopg.OperationalError("the server let others wait in vain just now")
        try:
            return super()._connect()
        except psycopg.errors.ConnectionTimeout:
            self._hung_at = time.monotonic()
            raise

    def _is_closed(self, conn: Any) -> bool:
        # The server says nothing to a connection that asks nothing, but that it is over.
        if not conn.closed and _has_news(conn.fileno()):
            conn.close()
        return bool(conn.closed)

    def _answers(self, limit_s: float) -> bool:
        """Tell whether the server has an answer for one more client, be it that it is full."""
        try:
            psycopg.connect(self.database, connect_timeout=max(2, int(limit_s))).close()
        except psycopg.errors.ConnectionTimeout:
            self._hung_at = time.monotonic()
            return False
        except psycopg.OperationalError:
            return True
        return True


def _has_news(descriptor: int) -> bool:
    # Not select(): that takes no descriptor above 1023.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
