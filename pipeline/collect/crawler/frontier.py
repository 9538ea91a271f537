"""The pages of a crawl: each once, with what became of it."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.collect.crawler.addresses import host_of, key_of
from pipeline.collect.state import State

TABLES = """
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, url TEXT NOT NULL, host TEXT NOT NULL,
    depth INTEGER NOT NULL, hops INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    detail TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS pages_due ON pages (state, id);
"""
PENDING = "pending"
DONE = "done"
FAILED = "failed"
SKIPPED = "skipped"
REFUSED = "refused"
REDIRECTED = "redirected"
#: What counts against ``max_pages``: requests whose answer was a page, or should have been one.
ASKED = (DONE, FAILED, SKIPPED)
_SHOWN_FAILURES = 20


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page to ask for; ``hops``: redirects that led to it."""

    id: int
    url: str
    host: str
    depth: int
    hops: int


class Frontier:
    """The pages table of a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, url: str, depth: int, hops: int) -> bool:
        """Return False where the page is known; within a transaction of the caller's."""
        self._state.query(
            "INSERT OR IGNORE INTO pages (key, url, host, depth, hops) VALUES (?, ?, ?, ?, ?)",
            (key_of(url), url, host_of(url), depth, hops),
        )
        return bool(self._state.query("SELECT changes()")[0][0])

    def next(self, running: Collection[int], waiting: Collection[str]) -> PageRow | None:
        """Return the first page that nobody fetches and whose host does not wait."""
        rows = self._state.query(
            "SELECT id, url, host, depth, hops FROM pages WHERE state = 'pending'"
            " AND id NOT IN (SELECT value FROM json_each(?))"
            " AND host NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT 1",
            (json.dumps(list(running)), json.dumps(list(waiting))),
        )
        return PageRow(*rows[0]) if rows else None

    def close(self, page: PageRow, state: str, detail: str = "") -> None:
        """The page has been dealt with; within a transaction of the caller's."""
        self._state.query(
            "UPDATE pages SET state = ?, detail = ? WHERE id = ?", (state, detail[:500], page.id)
        )

    def counts(self) -> dict[str, int]:
        """Return how many pages are in which state."""
        rows = self._state.query("SELECT state, COUNT(*) FROM pages GROUP BY state")
        return {str(state): int(count) for state, count in rows}

    def failures(self) -> list[str]:
        """Return the sentences of the first failures."""
        rows = self._state.query(
            "SELECT detail FROM pages WHERE state = 'failed' ORDER BY id LIMIT ?",
            (_SHOWN_FAILURES,),
        )
        return [str(detail) for (detail,) in rows]
