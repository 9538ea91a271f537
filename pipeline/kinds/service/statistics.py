"""What the calls of one day came to, and the tokens that models took and gave for them.

Counted from the records of calls that were begun, with the job they belong to: so their modes and
services are ones that a worker has, and a result that was taken over is not counted again.
"""

from collections.abc import Iterator
from datetime import datetime

from pipeline.core.statistics.figures import Figure
from pipeline.kinds.service.accounts import OTHER
from pipeline.store.database import dialect, execute, session
from pipeline.store.models import utc_value

#: Models that are named; the others are counted together.
MOST_MODELS = 10

_RECORDS = """
    (SELECT t.state, {record} AS record FROM jobs j JOIN service_runs s ON s.job_id = j.id
        JOIN tasks t ON t.id = s.task_id
        WHERE j.kind = %s AND j.finished_at >= %s AND j.finished_at < %s) AS runs
"""

Told = tuple[object, ...]


def statistics(kind: str, start: datetime, end: datetime) -> Iterator[Figure]:
    """Yield the figures of the kind's jobs that ended from ``start`` to before ``end``."""
    told = (kind, utc_value(start), utc_value(end))
    yield from _calls(kind, told)
    yield from _models(kind, told)


def _calls(kind: str, told: Told) -> Iterator[Figure]:
    mode, service = (f"coalesce({_text('record', name)}, '')" for name in ("mode", "service"))
    with session():
        rows = execute(
            f"SELECT {mode} AS mode, {service} AS service, state, count(*),"
            f" {_sum('record', 'run_s')} FROM {_records()} GROUP BY 1, 2, 3",
            *told,
        )
    for mode, service, state, number, ran_s in rows:
        labels = {"kind": kind, "mode": mode, "service": service, "state": state}
        yield Figure("service_calls", number, labels)
        yield Figure("service_run_seconds", float(ran_s), labels)


def _models(kind: str, told: Told) -> Iterator[Figure]:
    # Of equal numbers the same ones on every database, whatever it sorts texts by.
    by_letters = 'model COLLATE "C"' if dialect().postgres else "model"
    sums = [_sum("m.value", name) for name in ("calls", "input_tokens", "output_tokens")]
    counted = (
        f"SELECT m.key AS model, {sums[0]} AS calls, {sums[1]} AS taken, {sums[2]} AS given"
        f" FROM {_records()}, {_each('record', 'models')} AS m GROUP BY m.key"
    )
    placed = (
        "SELECT model, calls, taken, given, row_number() OVER"
        f" (ORDER BY taken + given DESC, calls DESC, {by_letters}) AS place"
        f" FROM ({counted}) AS counted"
    )
    with session():
        rows = execute(
            f"SELECT CASE WHEN place <= {MOST_MODELS} THEN model ELSE '{OTHER}' END AS named,"
            f" sum(calls), sum(taken), sum(given) FROM ({placed}) AS placed GROUP BY 1",
            *told,
        )
    for model, calls, taken, given in rows:
        labels = {"kind": kind, "model": model}
        yield Figure("model_calls", float(calls), labels)
        yield Figure("model_tokens", float(taken), {**labels, "direction": "input"})
        yield Figure("model_tokens", float(given), {**labels, "direction": "output"})


def _records() -> str:
    if not dialect().postgres:
        return _RECORDS.format(record="s.record")
    # PostgreSQL's functions refuse the whole of a document with a NUL in one of its texts.
    has_none = "strpos(s.record, '\\u0000') = 0"
    return _RECORDS.format(record=f"CASE WHEN {has_none} THEN s.record ELSE '{{}}' END::json")


def _text(document: str, name: str) -> str:
    if dialect().postgres:
        return f"{document} ->> '{name}'"
    return f"json_extract({document}, '$.{name}')"


def _sum(document: str, name: str) -> str:
    """Return SQL of a sum of numbers; with a point, which does not overflow."""
    number = _text(document, name)
    told = f"({number})::numeric" if dialect().postgres else number
    return f"coalesce(sum(1.0 * {told}), 0)"


def _each(document: str, name: str) -> str:
    """Return SQL of the pairs of an object: ``key`` and ``value``."""
    if dialect().postgres:
        return f"json_each({document} -> '{name}')"
    return f"json_each({document}, '$.{name}')"
