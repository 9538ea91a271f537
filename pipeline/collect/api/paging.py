"""Where the next page is; a position is a small object that JSON takes, so that it can be kept."""

from typing import Any

from pipeline.collect.config.api import Cursors, Links, Offsets, PageNumbers, Pagination
from pipeline.collect.errors import CollectFailed
from pipeline.collect.http.answer import Answer
from pipeline.collect.jsonpaths import Path

Position = dict[str, Any]
_END: frozenset[Any] = frozenset({"", None, False})


class Paging:
    """One way of leafing through an API; raises ``ConfigRefused`` for a path that is none."""

    def __init__(self, told: Pagination) -> None:
        self._told = told
        text = {
            PageNumbers: "total_pages_path",
            Offsets: "total_path",
            Cursors: "cursor_path",
            Links: "next_path",
        }.get(type(told))
        path = getattr(told, text) if text else None
        self._path = Path(path) if path else None
        more = told.has_more_path if isinstance(told, Cursors) else None
        self._more = Path(more) if more else None

    @property
    def expires(self) -> bool:
        """True where a server may have forgotten a position when it is asked for days later."""
        return isinstance(self._told, Cursors | Links)

    def start(self) -> Position:
        """Return the first position."""
        if isinstance(self._told, PageNumbers):
            return {"page": self._told.start}
        if isinstance(self._told, Offsets):
            return {"offset": self._told.start}
        return {}

    def parameters(self, position: Position) -> dict[str, Any]:
        """Return the parameters that ask for a position."""
        told = self._told
        if not isinstance(told, PageNumbers | Offsets | Cursors):
            return {}
        size = {told.size_param: told.size} if told.size_param else {}
        here = next(iter(position.values()), None)
        return size if here is None else {**size, told.param: here}

    def following(
        self, position: Position, answer: Answer, document: Any, count: int
    ) -> Position | None:
        """Return the position behind a page of ``count`` records, or None at the end."""
        told = self._told
        if isinstance(told, PageNumbers):
            page = position["page"] + 1
            total = self.total(document)
            return {"page": page} if count and not _reached(page - told.start, total) else None
        if isinstance(told, Offsets):
            offset = position["offset"] + count
            return (
                {"offset": offset} if count and not _reached(offset, self.total(document)) else None
            )
        if isinstance(told, Cursors):
            return self._cursor(document)
        if isinstance(told, Links):
            url = self._link(told, answer, document)
            return {"url": url} if url else None
        return None

    def falls_short(self, position: Position, total: int | None) -> bool:
        """Return True where there have to be records at a position, as far as is known."""
        if isinstance(self._told, PageNumbers):
            return total is not None and position["page"] - self._told.start < total
        if isinstance(self._told, Offsets):
            return total is not None and position["offset"] < total
        return False

    def total(self, document: Any) -> int | None:
        """Return how many pages or records the answer says there are, where it does."""
        if self._path is None or not isinstance(self._told, PageNumbers | Offsets):
            return None
        told = self._path.first(document)
        try:
            return int(told)
        except (TypeError, ValueError):
            return None

    def _cursor(self, document: Any) -> Position | None:
        if self._more is not None and not self._more.first(document):
            return None
        assert self._path is not None
        cursor = self._path.first(document)
        if isinstance(cursor, dict | list):
            raise CollectFailed("cursor_path leads to no text and no number.")
        return None if cursor in _END else {"cursor": cursor}

    def _link(self, told: Links, answer: Answer, document: Any) -> str | None:
        if self._path is None:
            return answer.links.get(told.relation, {}).get("url")
        url = self._path.first(document)
        return url if isinstance(url, str) else None


def _reached(done: int, total: int | None) -> bool:
    return total is not None and done >= total
