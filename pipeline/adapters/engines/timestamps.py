"""Times as engines write them: RFC 3339 in UTC, with up to nine digits of a second."""

import re
from datetime import UTC, datetime

from pipeline.errors import Refused

SECOND_NS = 1_000_000_000

_FORM = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", flags=re.ASCII
)


def moment(text: str) -> datetime | None:
    """Return the time, in microseconds; None for Docker's zero, the year 1."""
    if text.startswith("0001-") or not text:
        return None
    nanoseconds = to_ns(text)
    told = datetime.fromtimestamp(nanoseconds // SECOND_NS, UTC)
    return told.replace(microsecond=nanoseconds % SECOND_NS // 1000)


def to_ns(text: str) -> int:
    """Return nanoseconds since 1970; ``Refused`` when the text is no such time."""
    found = _FORM.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        seconds = int(
            datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00")).timestamp()
        )
    except ValueError:
        raise Refused(f"{text[:60]!r} is no cursor of a log.") from None
    return seconds * SECOND_NS + int((found[2] or "").ljust(9, "0"))


def next_after(text: str) -> str:
    """Return the time a nanosecond later."""
    return to_text(to_ns(text) + 1)


def to_text(nanoseconds: int) -> str:
    """Return the time with nine digits of a second."""
    seconds, rest = divmod(nanoseconds, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
