"""The rows of daily figures: the figures of one part of one day are written together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import orjson

from pipeline.core.history import clean
from pipeline.store.database import (
    as_json,
    changed,
    dialect,
    execute,
    lock,
    session,
    transaction,
)
from pipeline.store.models import moment, utc_value


class Part(StrEnum):
    """What the figures are of, and which actor makes them."""

    SYSTEM = "system"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number by its name and labels."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """One part of a day; ``complete``: the day was over and all that it had was still there."""

    part: Part
    timezone: str
    complete: bool
    generated_at: datetime


@dataclass(frozen=True, slots=True)
class KeptDay:
    """A day with its parts and their figures."""

    day: date
    parts: list[Kept]
    figures: list[Figure]


def write(day: date, kept: Kept, figures: Sequence[Figure]) -> bool:
    """The figures are those of the day's part, and those before are gone.

    False when somebody wrote them meanwhile who has looked later: those stay.
    """
    key = (day.isoformat(), str(kept.part))
    rows = [
        {"name": each.name, "labels": _written(each.labels), "value": float(each.value)}
        for each in figures
    ]
    sql = dialect()
    with transaction():
        lock("statistics")
        is_newest = changed(
            "INSERT INTO statistics_days (day, part, timezone, complete, generated_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (day, part) DO UPDATE SET"
            " timezone = excluded.timezone, complete = excluded.complete,"
            " generated_at = excluded.generated_at"
            " WHERE statistics_days.generated_at <= excluded.generated_at",
            *(*key, kept.timezone, int(kept.complete), utc_value(kept.generated_at)),
        )
        if not is_newest:
            return False
        execute("DELETE FROM daily_figures WHERE day = %s AND part = %s", *key)
        columns = sql.rows({"name": "text", "labels": "text", "value": "double precision"})
        execute(
            "INSERT INTO daily_figures (day, part, name, labels, value)"
            f" SELECT %s, %s, r.name, r.labels, r.value FROM {columns} WHERE 1 = 1",
            *(*key, as_json(rows)),
        )
    return True


def _written(labels: dict[str, str]) -> str:
    told = {name: clean(value) for name, value in labels.items()}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def known(part: Part, since: date) -> dict[date, Kept]:
    """Return what was written of the part for that day and later ones."""
    with session():
        rows = execute(
            "SELECT day, part, timezone, complete, generated_at FROM statistics_days"
            " WHERE part = %s AND day >= %s ORDER BY day",
            *(str(part), since.isoformat()),
        )
    return {date.fromisoformat(row[0]): _kept(row) for row in rows}


def listed(
    first: date,
    last: date,
    *,
    name: str | None = None,
    part: Part | None = None,
    limit: int | None = None,
) -> list[KeptDay]:
    """Return the days that have figures, the newest first; of each those of that name and part."""
    with session():
        days = execute(
            "SELECT DISTINCT day FROM statistics_days WHERE day >= %s AND day <= %s"
            " ORDER BY day DESC LIMIT %s",
            *(first.isoformat(), last.isoformat(), 100_000 if limit is None else limit),
        )
        return [_day(told, name, part) for (told,) in days]


def _day(told: str, name: str | None, part: Part | None) -> KeptDay:
    parts = execute(
        "SELECT day, part, timezone, complete, generated_at FROM statistics_days"
        " WHERE day = %s ORDER BY part",
        told,
    )
    where, values = "", []
    for column, wanted in (("name", name), ("part", part)):
        if wanted is not None:
            where += f" AND {column} = %s"
            values.append(str(wanted))
    rows = execute(
        f"SELECT name, value, labels FROM daily_figures WHERE day = %s{where}"
        " ORDER BY part DESC, name, labels",
        *(told, *values),
    )
    figures = [Figure(name, value, orjson.loads(labels)) for name, value, labels in rows]
    return KeptDay(date.fromisoformat(told), [_kept(row) for row in parts], figures)


def _kept(row: tuple[Any, ...]) -> Kept:
    _, part, timezone, complete, generated_at = row
    return Kept(Part(part), timezone, bool(complete), moment(generated_at))


def count(before: date) -> int:
    """Count the figures of days before that one."""
    with session():
        sql = "SELECT count(*) FROM daily_figures WHERE day < %s"
        return int(execute(sql, before.isoformat())[0][0])


def prune(before: date) -> int:
    """Take away the days before that one; return how many figures they had."""
    with transaction():
        number = changed("DELETE FROM daily_figures WHERE day < %s", before.isoformat())
        execute("DELETE FROM statistics_days WHERE day < %s", before.isoformat())
    return number
