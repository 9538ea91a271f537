"""One pass from source to target, from the last position to the checks."""

import hashlib
import json
import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from pipeline.collect.config.database import DatabaseConfig
from pipeline.collect.database import marks
from pipeline.collect.database.checksum import checksum
from pipeline.collect.database.columns import Kind
from pipeline.collect.database.connection import Connection, Row
from pipeline.collect.database.layout import read_layout
from pipeline.collect.database.ledger import Entry, Ledger
from pipeline.collect.database.opening import place
from pipeline.collect.database.reading import Reader
from pipeline.collect.database.writing import Writer
from pipeline.collect.errors import CollectFailed, Stopped
from pipeline.collect.progress import Progress
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

_MOMENTS = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.DATE})
_BATCH_BYTES = 8 * 1024 * 1024


class Synchronisation:
    """One pass over two open databases."""

    def __init__(
        self,
        config: DatabaseConfig,
        execution_id: str,
        source: Connection,
        target: Connection,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._config = config
        self._execution_id = execution_id
        self._source = source
        self._target = target
        self._progress = progress
        self._stop = stop
        self._layout = read_layout(config, source)
        self._incremental = config.mode == "incremental"
        self._reader = Reader(source, self._layout, incremental=self._incremental)
        self._ledger = Ledger(target, sync_name(config))
        self._ledger.create()
        self._writer = Writer(config, self._layout, target, type(source))
        self._entry = self._begun(self._ledger.read())

    def run(self) -> dict[str, Any]:
        """Return the figures of the finished run."""
        if self._entry.checked is not None:
            return {**self.figures(), **self._entry.checked}
        # Whatever the snapshot does not show is changed later, in columns of whole seconds, too.
        self._now = self._source.now().replace(microsecond=0)
        with self._source.snapshot():
            self._reader.check_keys()
            source_count = self._reader.count()
            unmarked = self._reader.count_unmarked()
            self._copy()
            self._progress.stage("checking")
            source_sum = self._key_sum()
        if unmarked:
            logger.warning("%d rows have no watermark and are not copied", unmarked)
        told = self._checked(source_count, source_sum, {"rows_without_watermark": unmarked})
        with self._target.transaction():
            self._entry = self._ledger.write(replace(self._entry, checked=told))
        return {**self.figures(), **told}

    def figures(self) -> dict[str, Any]:
        """Return what there is so far."""
        last = self._entry.position
        watermark = marks.read(last[0]) if last and self._incremental else None
        return {"processed_records": self._entry.rows, "watermark": watermark}

    def _begun(self, last: Entry | None) -> Entry:
        """The entry to go on with: the same execution's where it ended, else a new run's."""
        if last is None:
            return Entry(run=self._execution_id)
        if last.run == self._execution_id:
            if last.checked is not None:
                return last
            if not last.finished:
                logger.info("Going on after %d rows", last.rows)
                return self._resumed(last)
            # What the checks did not like, another copy may mend.
        if not self._incremental:
            return Entry(run=self._execution_id, version=last.version)
        if not last.finished:
            # Another execution goes on where the last one was stopped: nothing before is missing.
            return replace(self._resumed(last), run=self._execution_id, rows=0)
        since = self._lowest(last.next_since, last.position[0] if last.position else last.since)
        if since is not None:
            since = marks.kept(marks.back(marks.read(since), self._config.overlap))
        return Entry(run=self._execution_id, version=last.version, since=since)

    def _resumed(self, last: Entry) -> Entry:
        """Rows of the same watermark may have changed behind the position: the next run looks."""
        if not self._incremental or last.position is None:
            return last
        return replace(last, next_since=self._lowest(last.next_since, last.position[0]))

    @staticmethod
    def _lowest(one: Any, other: Any) -> Any:
        if one is None or other is None:
            return other if one is None else one
        return min(one, other, key=marks.read)

    def _copy(self) -> None:
        """All rows are written; those of a full copy are of one moment.

        Where a full copy goes on, the rows before that are of an earlier moment: they come once
        more. A kill meanwhile makes no difference, since the next one does the same from there.
        """
        begun = self._entry
        total = begun.rows + self._reader.count_left(marks.read(begun.since), begun.after)
        self._progress.stage("copying")
        self._copy_rows(total, begun.after, None)
        if not self._incremental and begun.position is not None:
            rows = self._entry.rows - begun.rows
            self._entry = replace(self._entry, position=None, rows=rows)
            self._progress.stage("copying the first rows once more")
            self._copy_rows(total, None, begun.after)
        with self._target.transaction():
            self._entry = self._ledger.write(replace(self._entry, finished=True))

    def _copy_rows(self, total: int, after: Row | None, until: Row | None) -> None:
        self._progress.update(done=self._entry.rows, total=total, records=self._entry.rows)
        since, most = marks.read(self._entry.since), self._config.batch_size
        with (
            closing(self._reader.rows(since, after, until)) as rows,
            closing(_batches(rows, most)) as batches,
        ):
            for batch in batches:
                if self._stop.requested:
                    raise Stopped(self._stop.reason)
                self._keep(batch)
                done = self._entry.rows
                self._progress.update(done=done, total=max(total, done), records=done)
                logger.info("%d of %d rows", done, total)

    def _keep(self, batch: list[Row]) -> None:
        """The rows and the position behind them are stored together."""
        last = [marks.kept(batch[-1][each]) for each in self._layout.order]
        entry = replace(self._entry, position=last, rows=self._entry.rows + len(batch))
        if self._incremental:
            entry = self._bounded(entry, batch[-1][self._layout.order[0]])
        with self._target.transaction():
            self._writer.write(batch)
            kept = self._ledger.write(entry)
        self._entry = kept

    def _bounded(self, entry: Entry, watermark: Any) -> Entry:
        """A watermark of the future does not keep the next run from what is changed until then."""
        column = self._layout.columns[self._layout.order[0]]
        bound = marks.not_beyond(watermark, self._now) if column.kind in _MOMENTS else watermark
        if bound == watermark:
            return entry
        since = self._lowest(entry.next_since, marks.kept(bound))
        if since != entry.next_since:
            logger.warning("Watermarks lie in the future: the next run begins at %s", bound)
        return replace(entry, next_since=since)

    def _key_sum(self) -> str | None:
        if not self._config.checks.key_checksum:
            return None
        with closing(self._reader.keys()) as keys:
            return checksum(self._writer.key(row) for row in keys)

    def _checked(
        self, source_count: int, source_sum: str | None, told: dict[str, Any]
    ) -> dict[str, Any]:
        target_count = self._writer.count()
        found = {**told, "source_count": source_count, "target_count": target_count}
        count = self._config.checks.count or ("report" if self._incremental else "equal")
        try:
            if count == "equal":
                self._writer.check(source_count, target_count)
            if source_sum is not None:
                found["key_checksum"] = source_sum
                if checksum(self._writer.keys()) != source_sum:
                    raise CollectFailed("The keys of source and target are not the same.")
        except CollectFailed as error:
            error.result_data = {**self.figures(), **found}
            raise
        return found


def sync_name(config: DatabaseConfig) -> str:
    """Return what the progress is kept under: the given name, or one that the config makes."""
    if config.sync_name is not None:
        return config.sync_name
    told = config.model_dump(mode="json", include={"mode", "key_columns", "watermark_column"})
    told |= {
        "source": [place(config.source), config.source.table, config.source.query],
        "target": [place(config.target), config.target.table],
        "columns": config.columns,
    }
    text = json.dumps(told, sort_keys=True)
    return f"sync-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def _batches(rows: Iterator[Row], most: int) -> Generator[list[Row], None, None]:
    """Lists of up to so many rows, fewer where they are large."""
    batch: list[Row] = []
    size_bytes = 0
    for row in rows:
        batch.append(row)
        size_bytes += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(batch) >= most or size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch
