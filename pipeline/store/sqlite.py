"""The connections to SQLite: a write-ahead log, durable commits, patience from the first moment."""

import math
import sqlite3
import time
from pathlib import Path
from typing import Any

from playhouse.pool import PooledSqliteDatabase

#: Pause before a file that is locked is tried again, in seconds.
PAUSE_S = 0.01


class SqlitePool(PooledSqliteDatabase):
    """At most ``size`` connections to the file; a caller waits up to ``timeout_s`` for a lock."""

    def __init__(self, path: Path, *, size: int, timeout_s: float) -> None:
        super().__init__(
            str(path),
            max_connections=size,
            timeout=math.ceil(timeout_s),
            check_same_thread=False,
            pragmas={
                "journal_mode": "wal",
                "foreign_keys": 1,
                "synchronous": "full",
                "busy_timeout": int(timeout_s * 1000),
            },
        )

    def _set_pragmas(self, conn: Any) -> None:
        # Of two processes that turn a new file to its write-ahead log at once SQLite tells one that
        # it is locked, without waiting: each holds what the other needs.
        until = time.monotonic() + self._timeout
        while True:
            try:
                super()._set_pragmas(conn)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(PAUSE_S)
            else:
                return
