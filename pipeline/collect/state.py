"""What a run has collected and what is still to do, in one SQLite file within the output folder.

One transaction holds a page's records and the fact that the page is done, so that a kill between
any two lines loses nothing and doubles nothing.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.collect.plainjson import dumped, plain

logger = logging.getLogger(__name__)

STATE_FILE = ".collect-state.sqlite3"
_LOCK_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, digest BLOB UNIQUE, body TEXT NOT NULL);
"""


class State:
    """The records and notes of one run; to be used by one thread.

    A file of the same config goes on where it ended. One of another config, one that cannot be
    read, and one that another execution has finished are begun anew.
    """

    def __init__(
        self, folder: Path, config: BaseModel, execution_id: str, tables: str = ""
    ) -> None:
        self._path = folder / STATE_FILE
        self._tables = _TABLES + tables
        self._execution_id = execution_id
        asked = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        self._run = hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()
        self._db = self._opened()
        self.resumed = self.note("begun") is not None
        with self.transaction():
            self.set_note("run", self._run)
            self.set_note("begun", True)

    def _opened(self) -> sqlite3.Connection:
        try:
            db = self._connected()
            if self._is_ours(db):
                return db
            db.close()
            logger.info("An earlier state belongs to another run and is dropped")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            logger.warning("The earlier state cannot be read and is dropped: %s", error)
        remove_state(self._path.parent)
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=_LOCK_S, isolation_level=None, check_same_thread=False
        )
        try:
            # One file between commits, also on shared folders, which know no shared memory.
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(self._tables)
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        notes = {name: json.loads(value) for name, value in db.execute("SELECT * FROM meta")}
        if not notes:
            return True
        finished_by = notes.get("finished_by")
        return notes.get("run") == self._run and finished_by in (None, self._execution_id)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done within."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def query(self, text: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a short answer."""
        return self._db.execute(text, parameters).fetchall()

    def note(self, name: str) -> Any:
        """Return what was noted under a name, or None."""
        rows = self.query("SELECT value FROM meta WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def set_note(self, name: str, value: Any) -> None:
        """Notes something; within a transaction of the caller's."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    def add_record(self, record: dict[str, Any], identity: Any = None) -> bool:
        """Return False where a record of the same identity is there; None is like no other."""
        digest = None if identity is None else digest_of(identity)
        body = dumped(record)
        added = self._db.execute(
            "INSERT OR IGNORE INTO records (digest, body) VALUES (?, ?)", (digest, body)
        )
        return added.rowcount > 0

    def count(self) -> int:
        """Return the number of records."""
        return int(self.query("SELECT COUNT(*) FROM records")[0][0])

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records in the order in which they came."""
        for (body,) in self._db.execute("SELECT body FROM records ORDER BY id"):
            yield json.loads(body)

    @property
    def finished(self) -> dict[str, Any] | None:
        """The figures of the end, where the run has come there."""
        told = self.note("finished")
        return dict(told) if told is not None else None

    def finish(self, result_data: dict[str, Any]) -> None:
        """The run has come to its end; the same execution started again only says so."""
        with self.transaction():
            self.set_note("finished", plain(result_data))
            self.set_note("finished_by", self._execution_id)

    def close(self) -> None:
        """The file is closed; what was committed stays."""
        self._db.close()


def digest_of(value: Any) -> bytes:
    """Return a short digest that equal values share."""
    text = dumped(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def remove_state(folder: Path) -> None:
    """No state is left in the folder."""
    for suffix in ("", "-journal"):
        (folder / f"{STATE_FILE}{suffix}").unlink(missing_ok=True)
