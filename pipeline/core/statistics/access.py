"""Who asked the API for what on one day, how it was answered, and how quickly."""

from collections.abc import Iterator
from datetime import datetime

from pipeline import clock
from pipeline.core.statistics.figures import Figure
from pipeline.core.statistics.spread import spread
from pipeline.store.database import dialect, execute, session

#: Paths and users that are named.
TOP = 10

_ROWS = "FROM access_log WHERE id >= %s AND id < %s"


def access_figures(start: datetime, end: datetime) -> Iterator[Figure]:
    """Yield the figures of the time from ``start`` to before ``end``."""
    told = (clock.least_id(start).hex, clock.least_id(end).hex)
    with session():
        [(number, users)] = execute(f"SELECT count(*), count(DISTINCT user_id) {_ROWS}", *told)
    yield Figure("access_requests", number)
    yield Figure("access_users", users)
    yield from _by("access_requests_by_status", "status_code / 100", "status", told)
    yield from _by("access_requests_by_resource", "resource_type", "resource_type", told)
    yield from _top("access_top_paths", "path", told)
    yield from _top("access_top_users", "user_id", told)
    yield from _by_route(told)
    yield from spread("access_response_time_ms", "response_time_ms", _ROWS, told)
    yield from spread(
        *("access_response_time_ms_by_route", "response_time_ms", _ROWS, told),
        {"method": "method", "route": "route"},
    )


def _by(name: str, column: str, label: str, told: tuple[str, str]) -> Iterator[Figure]:
    with session():
        found = execute(
            f"SELECT {column} AS named, count(*) {_ROWS} AND {column} IS NOT NULL"
            f" GROUP BY {column}",
            *told,
        )
    for named, number in found:
        yield Figure(name, number, {label: f"{named}xx" if label == "status" else named})


def _top(name: str, column: str, told: tuple[str, str]) -> Iterator[Figure]:
    # Of equal numbers the same ones on every database, whatever it sorts texts by.
    by_letters = f'{column} COLLATE "C"' if dialect().postgres else column
    with session():
        found = execute(
            f"SELECT {column}, count(*) AS number {_ROWS} AND {column} IS NOT NULL"
            f" GROUP BY {column} ORDER BY number DESC, {by_letters} LIMIT %s",
            *(*told, TOP),
        )
    for named, number in found:
        yield Figure(name, number, {column: named})


def _by_route(told: tuple[str, str]) -> Iterator[Figure]:
    with session():
        found = execute(f"SELECT method, route, count(*) {_ROWS} GROUP BY method, route", *told)
    for method, route, number in found:
        yield Figure("access_requests_by_route", number, {"method": method, "route": route})
