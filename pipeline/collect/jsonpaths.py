"""JSON paths (RFC 9535) of a config."""

from typing import Any

import jsonpath

from pipeline.collect.errors import ConfigRefused


class Path:
    """One compiled path."""

    def __init__(self, text: str) -> None:
        try:
            self._path = jsonpath.compile(text)
        except jsonpath.JSONPathError as error:
            raise ConfigRefused(f"{text!r} is not a JSON path: {error}.") from None

    def all(self, document: Any) -> list[Any]:
        """Return every value there; of something that is neither list nor object, none."""
        if not isinstance(document, dict | list):
            return []
        try:
            return list(self._path.findall(document))
        except (jsonpath.JSONPathError, RecursionError):
            return []

    def first(self, document: Any) -> Any:
        """Return the first value there, or None."""
        found = self.all(document)
        return found[0] if found else None
