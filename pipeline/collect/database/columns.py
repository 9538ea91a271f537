"""Columns as all databases know them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds, whatever its database calls that."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamp with time zone"
    JSON = "json"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``native`` is its type where only its own database knows it.

    ``scale``: digits behind the point, of a number or of its seconds; None: no limit that is known.
    """

    name: str
    kind: Kind
    precision: int | None = None
    scale: int | None = None
    native: str | None = None


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Columns that tell rows apart; those of a primary key are never NULL.

    ``exact``: no two values that differ, were it in case only, are one to it.
    """

    columns: tuple[str, ...]
    primary: bool
    exact: bool = True
