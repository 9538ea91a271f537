"""Rows of the source, in the order of watermark and key, from any position on."""

# ruff: noqa: S608 - names are quoted here, values are parameters

from collections.abc import Generator
from typing import Any

from pipeline.collect.database.connection import Connection, Row
from pipeline.collect.database.layout import Layout
from pipeline.collect.errors import CollectFailed


class Reader:
    """Reads a layout's rows within one snapshot of the source."""

    def __init__(self, source: Connection, layout: Layout, *, incremental: bool) -> None:
        self._source = source
        self._layout = layout
        self._incremental = incremental
        self._sorted_by = [source.sorted_by(layout.columns[place]) for place in layout.order]
        self._keys = [source.name(layout.columns[place].name) for place in layout.keys]

    def check_keys(self) -> None:
        """Raises ``CollectFailed`` where keys do not tell rows apart, since rows would be lost."""
        if self._layout.keys_known_unique:
            return
        null = " OR ".join(f"{key} IS NULL" for key in self._keys)
        grouped = ", ".join(self._keys)
        relation = self._layout.relation
        if self._source.query(f"SELECT 1 FROM {relation} WHERE {null} LIMIT 1"):
            raise CollectFailed("A key column of the source holds NULL: choose other key_columns.")
        twice = f"SELECT 1 FROM {relation} GROUP BY {grouped} HAVING COUNT(*) > 1 LIMIT 1"
        if self._source.query(twice):
            raise CollectFailed(
                "Two rows of the source have the same key: choose other key_columns."
            )

    def count(self) -> int:
        """Return the number of rows of the source."""
        return int(self._source.query(f"SELECT COUNT(*) FROM {self._layout.relation}")[0][0])

    def count_left(self, since: Any, after: Row | None) -> int:
        """Return the number of rows that are to come."""
        where, values = self._where(since, after)
        rows = self._source.query(f"SELECT COUNT(*) FROM {self._layout.relation}{where}", values)
        return int(rows[0][0])

    def count_unmarked(self) -> int:
        """Return the number of rows without a watermark, which are never copied by it."""
        if not self._incremental:
            return 0
        where = f"{self._sorted_by[0]} IS NULL"
        rows = self._source.query(f"SELECT COUNT(*) FROM {self._layout.relation} WHERE {where}")
        return int(rows[0][0])

    def rows(
        self, since: Any, after: Row | None, until: Row | None = None
    ) -> Generator[Row, None, None]:
        """Yield the rows whose watermark is ``since`` or more, between two positions."""
        where, values = self._where(since, after, until)
        selected = ", ".join(map(self._source.selected, self._layout.columns))
        order = ", ".join(self._sorted_by)
        sql = f"SELECT {selected} FROM {self._layout.relation}{where} ORDER BY {order}"
        return self._source.stream(sql, values, self._layout.columns)

    def keys(self) -> Generator[Row, None, None]:
        """Yield the keys of all rows, in no order."""
        columns = [self._layout.columns[place] for place in self._layout.keys]
        selected = ", ".join(map(self._source.selected, columns))
        sql = f"SELECT {selected} FROM {self._layout.relation}"
        return self._source.stream(sql, (), columns)

    def _where(
        self, since: Any, after: Row | None, until: Row | None = None
    ) -> tuple[str, list[Any]]:
        conditions, values = [], []
        mark = self._source.placeholder
        if self._incremental:
            conditions.append(f"{self._sorted_by[0]} IS NOT NULL")
        if since is not None:
            conditions.append(f"{self._sorted_by[0]} >= {mark}")
            values.append(since)
        if after is not None:
            condition, told = self._after(list(after))
            conditions.append(condition)
            values.extend(told)
        if until is not None:
            condition, told = self._after(list(until))
            conditions.append(f"NOT ({condition})")
            values.extend(told)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return where, [self._source.bound(value) for value in values]

    def _after(self, position: list[Any]) -> tuple[str, list[Any]]:
        """Behind the position; its first part once more on its own, for indexes to use."""
        mark = self._source.placeholder
        options, values = [], [position[0]]
        for place, name in enumerate(self._sorted_by):
            equal = [f"{each} = {mark}" for each in self._sorted_by[:place]]
            options.append(" AND ".join([*equal, f"{name} > {mark}"]))
            values.extend(position[: place + 1])
        return f"{self._sorted_by[0]} >= {mark} AND (({') OR ('.join(options)}))", values
