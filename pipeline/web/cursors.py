"""Places in a list, as opaque texts: the next page begins after the last entry that was seen.

So pages neither repeat nor skip what was there, however much is added meanwhile.
"""

import base64
import binascii
import uuid
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from pipeline.errors import Refused

T = TypeVar("T")

Cursor = Annotated[
    str | None,
    Query(description="`next_cursor` of the page before.", max_length=200, pattern=r"^[\w\-]+$"),
]


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next_cursor: str | None = Field(
        description="Where the next page begins; null: this is the last one."
    )


def written(name: str, last: object) -> str:
    """Return the cursor after the entry with that key, in the list of that name."""
    return base64.urlsafe_b64encode(f"{name}:{last}".encode()).decode().rstrip("=")


def read(name: str, cursor: str) -> str:
    """Return the key; ``Refused`` for a cursor of another list, or none."""
    try:
        told = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        told = ""
    before, colon, last = told.partition(":")
    if before != name or not colon or not last:
        raise _foreign()
    return last


def number(name: str, cursor: str) -> int:
    """Return the key of a list that is ordered by numbers."""
    told = read(name, cursor)
    if not told.isdigit() or len(told) > 18:
        raise _foreign()
    return int(told)


def row_id(name: str, cursor: str) -> uuid.UUID:
    """Return the key of a list that is ordered by ids."""
    try:
        return uuid.UUID(read(name, cursor))
    except ValueError:
        raise _foreign() from None


def _foreign() -> Refused:
    return Refused("The cursor is not one of this list; begin without a cursor.")
