"""How far a synchronisation is, kept in the target, in the same transaction as its rows."""

# ruff: noqa: S608 - names are quoted here, values are parameters

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.collect.database import marks
from pipeline.collect.database.columns import Column, Kind
from pipeline.collect.database.connection import Connection, Row
from pipeline.collect.errors import CollectFailed

TABLE = ("quayline_sync_progress",)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one run is. Values are as ``marks`` keeps them.

    ``since``: where this run began; ``position``: watermark and key of the last row written;
    ``next_since``: where the next run begins, if lower than the last watermark; ``finished``: all
    rows are written; ``checked``: what the checks found, once they have passed.
    """

    run: str
    version: int = 0
    rows: int = 0
    since: Any = None
    position: list[Any] | None = None
    next_since: Any = None
    finished: bool = False
    checked: dict[str, Any] | None = None

    @property
    def after(self) -> Row | None:
        """The position as values."""
        return None if self.position is None else tuple(map(marks.read, self.position))


class Ledger:
    """The progress table of a target; entries go by the name of their synchronisation."""

    def __init__(self, target: Connection, name: str) -> None:
        self._target = target
        self._name = name
        self._table = target.table(TABLE)

    def create(self) -> None:
        """The table is there."""
        text = self._target.type_of(Column("name", Kind.TEXT), key=True)
        body = self._target.type_of(Column("body", Kind.TEXT), key=False)
        number = self._target.type_of(Column("version", Kind.INTEGER), key=False)
        if not self._target.exists(TABLE):
            self._target.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (name {text} NOT NULL PRIMARY KEY,"
                f" version {number} NOT NULL, body {body} NOT NULL)"
            )

    def read(self) -> Entry | None:
        """Return the entry of the last run, or None before the first."""
        mark = self._target.placeholder
        rows = self._target.query(
            f"SELECT version, body FROM {self._table} WHERE name = {mark}", (self._name,)
        )
        return Entry(**{**json.loads(rows[0][1]), "version": rows[0][0]}) if rows else None

    def write(self, entry: Entry) -> Entry:
        """Return the entry as it is now kept; within a transaction of the caller's.

        Raises ``CollectFailed`` where somebody else has written since this one was read.
        """
        mark = self._target.placeholder
        body = json.dumps(asdict(entry))
        if entry.version == 0:
            changed = self._target.execute(
                f"INSERT INTO {self._table} (name, version, body) VALUES ({mark}, 1, {mark})",
                (self._name, body),
            )
        else:
            changed = self._target.execute(
                f"UPDATE {self._table} SET version = version + 1, body = {mark}"
                f" WHERE name = {mark} AND version = {mark}",
                (body, self._name, entry.version),
            )
        if changed != 1:
            raise CollectFailed("Another run of this synchronisation is at work: let it end first.")
        return replace(entry, version=entry.version + 1)
