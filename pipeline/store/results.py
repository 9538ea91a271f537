"""What tasks produced, by a key of everything the result depends on; so it is the cache, too."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline import jsontext
from pipeline.store.database import as_json, dialect, execute, proxy, session, transaction


@dataclass(frozen=True, slots=True)
class Result:
    """A result to store: a JSON document and the few counts that summaries need."""

    key: str
    document: dict[str, Any]
    counts: dict[str, int]


def store(results: Sequence[Result]) -> None:
    """Store the results that are not there yet."""
    if not results:
        return
    now = dialect().now
    row = f"(%s, %s, %s, {now})"
    values = [
        value
        for result in sorted(results, key=lambda each: each.key)
        for value in (result.key, _packed(result.document), as_json(result.counts))
    ]
    with transaction():
        execute(
            "INSERT INTO results (key, body, counts, created_at) VALUES "
            + ", ".join([row] * len(results))
            + " ON CONFLICT (key) DO NOTHING",
            *values,
        )


def known(keys: Iterable[str]) -> set[str]:
    """Return those of the keys that have a stored result."""
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    with session():
        # Not from a JSON array, as elsewhere: PostgreSQL joins that with the whole table.
        if dialect().postgres:
            rows = execute("SELECT key FROM results WHERE key = ANY(%s)", wanted)
        else:
            among = "SELECT value FROM json_each(%s)"
            rows = execute(f"SELECT key FROM results WHERE key IN ({among})", as_json(wanted))
    return {row[0] for row in rows}


def unpacked(body: bytes | memoryview | None) -> dict[str, Any] | None:
    """Return the document of a stored body."""
    if body is None:
        return None
    document: dict[str, Any] = orjson.loads(zlib.decompress(bytes(body)))
    return document


def _packed(document: dict[str, Any]) -> Any:
    return proxy.obj.get_binary_type()(zlib.compress(jsontext.encoded(document), 1))
