"""How numbers are spread: mean, median, 95th percentile and largest, in SQL of both databases.

A percentile is by nearest rank: a number that is there, the smallest that is not below so many of
them. Both databases tell the same one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.core.statistics.figures import Figure
from pipeline.store.database import dialect, execute, session

WORDS = ("mean", "median", "p95", "max")


def spread(
    name: str, value: str, rows: str, told: Sequence[Any], by: dict[str, str] | None = None
) -> Iterator[Figure]:
    """Yield the four figures of an SQL expression over ``rows`` (FROM … WHERE …), for each group.

    ``by`` maps labels to the columns of the groups. Rows whose value is NULL do not count.
    """
    by = by or {}
    columns = ", ".join(by.values())
    picked = f"{columns}, " if columns else ""
    parted = f"PARTITION BY {columns}" if columns else ""
    grouped = f" GROUP BY {columns}" if columns else ""
    statement = (
        f"SELECT {picked}count(*), avg(v), min(CASE WHEN place * 100 >= many * 50 THEN v END),"
        " min(CASE WHEN place * 100 >= many * 95 THEN v END), max(v)"
        f" FROM (SELECT {picked}v, row_number() OVER ({parted} ORDER BY v) AS place,"
        f" count(*) OVER ({parted}) AS many"
        f" FROM (SELECT {picked}{value} AS v {rows}) AS found WHERE v IS NOT NULL) AS placed"
        f"{grouped}"
    )
    with session():
        found = execute(statement, *told)
    for row in found:
        labels = dict(zip(by, map(str, row), strict=False))
        number, *values = row[len(by) :]
        if number:
            for word, each in zip(WORDS, values, strict=True):
                yield Figure(name, float(each), {**labels, "of": word})


def seconds(later: str, earlier: str) -> str:
    """Return SQL of the seconds between two times, to the millisecond."""
    if dialect().postgres:
        return f"round(extract(epoch FROM {later} - {earlier})::numeric, 3)::double precision"
    return f"round((julianday({later}) - julianday({earlier})) * 86400.0, 3)"
