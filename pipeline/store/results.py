"""What tasks produced, by a key of everything the result depends on; so it is the cache, too.

``created_at`` is when a result was stored or, at most a day off, last taken up: whoever is about to
refer to one that has not been taken up for a day makes it young first. So one that is older than
every job that has results is referred to by none (``remove_old``), and no task has to be searched.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pipeline import jsontext
from pipeline.store.database import (
    as_json,
    changed,
    dialect,
    execute,
    proxy,
    session,
    transaction,
)

#: A result that was not taken up for so long is made young when it is, in seconds.
TAKEN_UP_S = 86_400.0

#: Results removed in one transaction.
STEP = 5000


@dataclass(frozen=True, slots=True)
class Result:
    """A result to store: a JSON document and the few counts that summaries need."""

    key: str
    document: dict[str, Any]
    counts: dict[str, int]


def store(results: Sequence[Result]) -> None:
    """Store the results that are not there yet; those that are there are young afterwards."""
    if not results:
        return
    now = dialect().now
    row = f"(%s, %s, %s, {now})"
    # One row for each key, in the order in which everybody takes them.
    by_key = {result.key: result for result in results}
    values = [
        value
        for _, result in sorted(by_key.items())
        for value in (result.key, _packed(result.document), as_json(result.counts))
    ]
    with transaction():
        execute(
            "INSERT INTO results (key, body, counts, created_at) VALUES "
            + ", ".join([row] * len(by_key))
            + " ON CONFLICT (key) DO UPDATE SET created_at = excluded.created_at"
            f" WHERE results.created_at < {dialect().later('%s')}",
            *(*values, -TAKEN_UP_S),
        )


def known(keys: Iterable[str]) -> set[str]:
    """Return those of the keys that have a stored result; it stays for a day at least."""
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    with session():
        among, told = _among(wanted)
        is_old = f"created_at < {dialect().later('%s')}"
        rows = execute(f"SELECT key, {is_old} FROM results WHERE {among}", -TAKEN_UP_S, told)
    found = {key for key, is_old in rows if not is_old}
    return found | _made_young([key for key, is_old in rows if is_old])


def remove_old(before: datetime, *, dry_run: bool = False) -> int:
    """Remove, or count, the results that nobody has taken up since then; return how many."""
    told: Any = before if dialect().postgres else before.isoformat(timespec="microseconds")
    if dry_run:
        with session():
            return int(execute("SELECT count(*) FROM results WHERE created_at < %s", told)[0][0])
    removed = 0
    while True:
        with transaction():
            # Asked twice: one that is made young meanwhile stays.
            step = changed(
                "DELETE FROM results WHERE created_at < %s AND key IN (SELECT key FROM results"
                " WHERE created_at < %s ORDER BY created_at LIMIT %s)",
                *(told, told, STEP),
            )
        removed += step
        if step < STEP:
            return removed


def _made_young(keys: Sequence[str]) -> set[str]:
    """Let those be young that are still there; return them."""
    if not keys:
        return set()
    among, told = _among(sorted(keys))
    # In the order of the keys, as they are stored: no two wait for each other.
    in_order = " ORDER BY key FOR UPDATE" if dialect().postgres else ""
    with transaction():
        rows = execute(
            f"UPDATE results SET created_at = {dialect().now} WHERE key IN"
            f" (SELECT key FROM results WHERE {among}{in_order}) RETURNING key",
            told,
        )
    return {key for (key,) in rows}


def _among(keys: Sequence[str]) -> tuple[str, Any]:
    # Not from a JSON array, as elsewhere: PostgreSQL joins that with the whole table.
    if dialect().postgres:
        return "key = ANY(%s)", keys
    return "key IN (SELECT value FROM json_each(%s))", as_json(keys)


def unpacked(body: bytes | memoryview | None) -> dict[str, Any] | None:
    """Return the document of a stored body."""
    if body is None:
        return None
    document: dict[str, Any] = orjson.loads(zlib.decompress(bytes(body)))
    return document


def _packed(document: dict[str, Any]) -> Any:
    return proxy.obj.get_binary_type()(zlib.compress(jsontext.encoded(document), 1))
