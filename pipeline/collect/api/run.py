"""All pages of an API: from the first one to the output file, gone on with after a kill."""

import logging
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from pipeline.collect.api.endpoint import Endpoint, PositionGone
from pipeline.collect.api.paging import Paging, Position
from pipeline.collect.api.records import Records
from pipeline.collect.config.api import ApiConfig
from pipeline.collect.errands import Errands
from pipeline.collect.errors import CollectFailed, ConfigRefused, Stopped
from pipeline.collect.http.answer import TryAgain, open_client
from pipeline.collect.output import write_records
from pipeline.collect.progress import Progress
from pipeline.collect.state import State, digest_of
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

_TABLES = "CREATE TABLE IF NOT EXISTS positions (digest BLOB PRIMARY KEY) WITHOUT ROWID;"


class Leafing:
    """One walk through the pages on an open state."""

    def __init__(
        self, config: ApiConfig, state: State, endpoint: Endpoint, paging: Paging, records: Records
    ) -> None:
        self._config = config
        self._state = state
        self._endpoint = endpoint
        self._paging = paging
        self._records = records
        self._pages = int(state.note("pages") or 0)
        self._count = state.count()
        self._total: int | None = state.note("total")
        self._truncated = False

    def run(self, errands: Errands, progress: Progress, stop: Stop) -> None:
        """Every page is stored; raises ``Stopped`` before that."""
        position = self._state.note("position") if self._pages else self._paging.start()
        if self._pages:
            logger.info("Going on after %d pages", self._pages)
        fresh = not self._pages
        while position is not None:
            if stop.requested:
                raise Stopped(stop.reason)
            if self._pages >= self._config.max_pages or self._count >= self._config.max_records:
                self._truncated = True
                logger.warning("max_pages or max_records is reached, more is there")
                return
            try:
                check = partial(self._check, position)
                answer, document = errands.run(self._endpoint.ask, position, check)
            except PositionGone:
                if fresh or not self._paging.expires:
                    raise
                position, fresh = self._anew(), True
                continue
            fresh = True
            found = self._records.found(document)
            self._total = self._known_total(document)
            following = self._paging.following(position, answer, document, len(found))
            self._keep(found, following)
            position = following
            self._tell(progress)

    def _check(self, position: Position, document: Any) -> None:
        """Raises ``TryAgain`` for a page that has no records where there have to be some."""
        total = self._known_total(document)
        if not self._records.found(document) and self._paging.falls_short(position, total):
            raise TryAgain(
                f"Page {self._pages + 1} has no records after {self._count} of them, though the API"
                f" told a total of {total}."
            )

    def _known_total(self, document: Any) -> int | None:
        """The total that this page tells, or else one before it."""
        told = self._paging.total(document)
        return self._total if told is None else told

    def figures(self) -> dict[str, Any]:
        """Return what there is so far."""
        return {
            "processed_records": self._count,
            "pages": self._pages,
            "truncated": self._truncated,
        }

    def _anew(self) -> Position:
        logger.warning("The server has forgotten where the last run ended: all pages again")
        with self._state.transaction() as db:
            db.execute("DELETE FROM records")
            db.execute("DELETE FROM positions")
            self._state.set_note("pages", 0)
            self._state.set_note("page_digest", None)
        self._pages = self._count = 0
        return self._paging.start()

    def _keep(self, found: list[Any], following: Position | None) -> None:
        """A page's records and the way to the next page are stored together."""
        added = 0
        digest = digest_of(found).hex() if found else None
        with self._state.transaction():
            if following is not None:
                self._guard(digest, following)
            room = self._config.max_records - self._count
            for record in found:
                if added >= room:
                    self._truncated = True
                    break
                identity = self._records.identity(record)
                added += self._state.add_record(self._records.kept(record), identity)
            self._state.set_note("position", following)
            self._state.set_note("pages", self._pages + 1)
            self._state.set_note("page_digest", digest)
            self._state.set_note("total", self._total)
        self._pages += 1
        self._count += added
        logger.info("Page %d: %d records, %d new", self._pages, len(found), added)

    def _guard(self, digest: str | None, following: Position) -> None:
        """Raises ``CollectFailed`` where the API goes round in circles."""
        if digest is not None and digest == self._state.note("page_digest"):
            raise CollectFailed(
                f"Page {self._pages + 1} has the same records as the page before it: the API does"
                " not know the parameters of this pagination."
            )
        known = self._state.query(
            "INSERT OR IGNORE INTO positions VALUES (?) RETURNING 1", (digest_of(following),)
        )
        if not known:
            raise CollectFailed(
                f"After page {self._pages + 1} the API leads back to a page that it has given."
            )

    def _tell(self, progress: Progress) -> None:
        by_records = "offset" in self._paging.start()
        done = self._count if by_records else self._pages
        progress.update(done=done, total=self._total, pages=self._pages, records=self._count)


def collect_api(
    config: ApiConfig,
    base_url: str | None,
    folder: Path,
    prefix: str,
    execution_id: str,
    progress: Progress,
    stop: Stop,
) -> dict[str, Any]:
    """Return the figures of a collection whose records are in the output file.

    Raises ``CollectFailed`` and ``Stopped``; in both cases the output file holds what there is,
    and the state goes on from there.
    """
    url = urljoin(base_url or "", config.endpoint)
    if not urlsplit(url).hostname:
        raise ConfigRefused("endpoint is relative, so base_url has to be given.")
    paging, records = Paging(config.pagination), Records(config)
    state = State(folder, config, execution_id, _TABLES)
    try:
        if state.finished is not None:
            return state.finished
        headers = {"Accept": "application/json", "User-Agent": "quayline-collect"}
        with open_client(config.timeout_s, headers) as client, Errands(1, stop) as errands:
            endpoint = Endpoint(config, url, paging, client, stop)
            work = Leafing(config, state, endpoint, paging, records)
            progress.stage("collecting")
            try:
                work.run(errands, progress, stop)
            except (CollectFailed, Stopped) as error:
                error.result_data = _written(config, folder, prefix, state, records, work)
                raise
        progress.stage("writing output")
        figures = _written(config, folder, prefix, state, records, work)
        state.finish(figures)
        return figures
    finally:
        state.close()


def _written(
    config: ApiConfig, folder: Path, prefix: str, state: State, records: Records, work: Leafing
) -> dict[str, Any]:
    columns = records.columns
    name = write_records(folder, prefix, config.output_format, state.records, columns)
    return {**work.figures(), "output_files": [name]}
