"""The table that rows go to: made where asked for, and written by key."""

# ruff: noqa: S608 - names are quoted here, values are parameters

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.database.columns import Column
from pipeline.collect.database.connection import Connection, Row
from pipeline.collect.database.layout import Layout
from pipeline.collect.database.opening import table_name
from pipeline.collect.database.values import adapted
from pipeline.collect.errors import CollectFailed, ConfigRefused


class Writer:
    """Puts rows of a layout into the target's table; a row that is there becomes the new one."""

    def __init__(
        self,
        config: DatabaseConfig,
        layout: Layout,
        target: Connection,
        source_maker: type[Connection],
    ) -> None:
        self._layout = layout
        self._target = target
        self._table = table_name(config.target.table)
        self._name = target.table(self._table)
        keys = layout.names(layout.keys)
        if not target.exists(self._table):
            if not config.target.create_table:
                raise ConfigRefused(
                    f"The target has no table {'.'.join(self._table)} (create_table makes it)."
                )
            self._create(keys, same_maker=source_maker is type(target))
        self._check_key(keys)
        names = ", ".join(map(target.name, layout.targets))
        self._columns = target.describe(f"SELECT {names} FROM {self._name}")
        self._upsert = target.upsert(self._table, layout.targets, keys)

    def _create(self, keys: Sequence[str], *, same_maker: bool) -> None:
        target = self._target
        columns = [
            replace(each, name=name, native=each.native if same_maker else None)
            for name, each in zip(self._layout.targets, self._layout.columns, strict=False)
        ]
        parts = [
            f"{target.name(each.name)} {target.type_of(each, key=each.name in keys)}"
            + (" NOT NULL" if each.name in keys else " NULL")
            for each in columns
        ]
        primary = ", ".join(map(target.name, keys))
        target.execute(
            f"CREATE TABLE IF NOT EXISTS {self._name} ({', '.join(parts)}, PRIMARY KEY ({primary}))"
        )

    def _check_key(self, keys: Sequence[str]) -> None:
        known = self._target.unique_keys(self._table)
        fitting = [key for key in known if set(key.columns) == set(keys)]
        place = f"The table {'.'.join(self._table)} of the target"
        if not fitting:
            raise ConfigRefused(
                f"{place} has no unique index on {', '.join(keys)}: make one, or rows would be"
                " doubled."
            )
        if not all(key.exact for key in fitting):
            raise ConfigRefused(
                f"{place} takes keys ({', '.join(keys)}) that differ in case or spaces for one, and"
                " rows would be lost: give the columns a collation that tells them apart."
            )

    def write(self, rows: Sequence[Row]) -> None:
        """The rows are there; within a transaction of the caller's."""
        self._target.execute_many(self._upsert, [self._bound(row, self._columns) for row in rows])

    def _bound(self, row: Row, columns: Sequence[Column]) -> Row:
        told = zip(row, columns, strict=False)
        return tuple(self._target.bound(adapted(value, column)) for value, column in told)

    def count(self) -> int:
        """Return the number of rows of the target."""
        return int(self._target.query(f"SELECT COUNT(*) FROM {self._name}")[0][0])

    def keys(self) -> Iterator[Row]:
        """Yield the keys of all rows of the target, in no order."""
        columns = [self._columns[place] for place in self._layout.keys]
        selected = ", ".join(map(self._target.selected, columns))
        with self._target.snapshot():
            for row in self._target.stream(f"SELECT {selected} FROM {self._name}", (), columns):
                yield self.key(row)

    def key(self, row: Row) -> Row:
        """Return a key, of the source or of the target, as the target's driver has it."""
        return self._bound(row, [self._columns[place] for place in self._layout.keys])

    def check(self, source_count: int, target_count: int) -> None:
        """Raises ``CollectFailed`` where the two have not the same number of rows."""
        if source_count != target_count:
            raise CollectFailed(
                f"The source has {source_count} rows and the target {target_count}: rows were"
                " deleted in the source, or others write to the target (checks.count: report)."
            )
