"""The records of a page, as the config's fields describe them."""

from typing import Any

from pipeline.collect.config.api import ApiConfig
from pipeline.collect.jsonpaths import Path


class Records:
    """The compiled paths; raises ``ConfigRefused`` for one that is none."""

    def __init__(self, config: ApiConfig) -> None:
        self._records = Path(config.records_path)
        self._unique = [Path(each) for each in config.unique_by]
        fields = config.data_fields
        self.columns = list(fields)
        self._paths = (
            {name: Path(path) for name, path in fields.items()} if isinstance(fields, dict) else {}
        )

    def found(self, document: Any) -> list[Any]:
        """Return the page's records as they came; a list at the path stands for its members."""
        found: list[Any] = []
        for each in self._records.all(document):
            found.extend(each if isinstance(each, list) else [each])
        return found

    def kept(self, record: Any) -> dict[str, Any]:
        """Return what is to be kept of a record; one that is no object is a ``value``."""
        if self._paths:
            return {name: path.first(record) for name, path in self._paths.items()}
        told = record if isinstance(record, dict) else {"value": record}
        return {name: told.get(name) for name in self.columns} if self.columns else told

    def identity(self, record: Any) -> list[Any] | None:
        """Return what tells it from others; None where nothing is known to."""
        told = [path.first(record) for path in self._unique]
        return told if any(each is not None for each in told) else None
