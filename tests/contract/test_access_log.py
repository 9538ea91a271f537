"""The access log on each database: every record once, in the order of time, until it is old."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline import broker, clock
from pipeline.core import access_intake, access_log
from pipeline.core.access_log import MOST_IN_BATCH, Access, Record, Wanted, store
from pipeline.core.context import Context
from pipeline.core.upkeep import retention
from pipeline.core.upkeep.retention import clean_old_data
from pipeline.errors import DatabaseUnavailable
from pipeline.signatures import misfit
from tests.support import factories as make
from tests.support.requests import record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = Wanted(datetime(1980, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


def listed(**told: Any) -> list[Access]:
    return access_log.listed(replace(ALL, **told), limit=1000)


def test_record_is_a_row_with_all_it_says(context: Context) -> None:
    told = record(NOON, resource_id="x", response_time_ms=12.345, status_code=404)
    assert store([told]) == 1
    [row] = listed()
    assert row.at == NOON
    assert {**told, "id": uuid.UUID(told["id"])} == {name: getattr(row, name) for name in told}


def test_batch_that_is_told_twice_is_stored_once(context: Context) -> None:
    batch = [record() for _ in range(5)]
    assert store(batch) == 5
    assert store(batch) == 0
    assert store([*batch[2:], record(), record()]) == 2
    assert store([batch[0], batch[0]]) == 0
    twice = record()
    assert store([twice, twice]) == 1
    assert len(listed()) == 8


def test_they_are_told_newest_first_and_in_pages(context: Context) -> None:
    batch = [record(NOON + timedelta(seconds=n), request_id=str(n)) for n in range(7)]
    store(batch[::-1])
    first = access_log.listed(ALL, limit=4)
    rest = access_log.listed(ALL, before=first[-1].id, limit=4)
    assert [each.request_id for each in first + rest] == list("6543210")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"user_id": "bob"}, {"b"}),
        ({"method": "POST"}, {"c"}),
        ({"path_prefix": "/api/v1/sch"}, {"b"}),
        ({"path_prefix": "/API"}, set()),
        ({"path_prefix": "/api/v1/%"}, set()),
        ({"status_class": 4}, {"a"}),
        ({"resource_type": "job", "resource_id": "7"}, {"c"}),
        ({"since": NOON + timedelta(seconds=1)}, {"b", "c"}),
        ({"until": NOON + timedelta(seconds=1)}, {"a"}),
    ],
)
def test_filters(context: Context, wanted: dict[str, Any], found: set[str]) -> None:
    store(
        [
            record(NOON, request_id="a", status_code=422),
            record(
                NOON + timedelta(seconds=1),
                request_id="b",
                user_id="bob",
                path="/api/v1/schedules",
            ),
            record(NOON + timedelta(seconds=2), request_id="c", method="POST", resource_id="7"),
        ]
    )
    assert {each.request_id for each in listed(**wanted)} == found


def test_text_that_no_database_takes_is_mended(context: Context) -> None:
    store([record(path="/a\0b\ud800c", user_agent="\udfff")])
    [row] = listed()
    assert row.path == "/a\ufffdb?c"


def keeping(context: Context, days: str) -> Context:
    settings = context.settings.model_copy(update={"retention_days": days})
    return replace(context, settings=settings)


def test_old_requests_go_in_steps_and_young_ones_stay(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    now = clock.now()
    store([record(now - timedelta(days=days)) for days in (100, 99, 98, 97, 89, 0)])
    assert clean_old_data(context, dry_run=True).access_log == 4
    assert clean_old_data(context).access_log == 4
    assert len(listed()) == 2
    assert clean_old_data(keeping(context, '{"access_log": 0, "*": 1}')).access_log == 0
    assert clean_old_data(keeping(context, '{"access_log": 30}')).access_log == 1


@pytest.mark.parametrize(
    "bent",
    [
        {"id": "x"},
        {"id": str(uuid.uuid4())},
        {"id": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
        {"path": "/" * 1000},
        {"status_code": "200"},
        {"response_time_ms": -1.0},
        {"response_time_ms": float("nan")},
        {"user_id": 7},
        {"more": 1},
    ],
)
def test_what_is_no_record_is_set_aside_as_a_dead_letter(
    context: Context, bent: dict[str, Any]
) -> None:
    from actors.access_log import store_access_log

    assert misfit(store_access_log.fn, ([record()],), {}) == ""
    assert misfit(store_access_log.fn, ([{**record(), **bent}],), {})
    assert misfit(store_access_log.fn, ([record()] * (MOST_IN_BATCH + 1),), {})


def test_batch_that_cannot_be_written_waits_in_the_queue_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(batch: Sequence[Record]) -> int:
        raise DatabaseUnavailable("It is away.")

    batch = [record(), record()]
    make.take_messages()
    with monkeypatch.context() as patched:
        patched.setattr(access_log, "store", away)
        access_intake.take(batch, pause_s=0.0)
    [(actor, told)] = make.take_messages()
    assert (actor, told) == ("store_access_log", (batch,))
    access_intake.take(told[0])
    assert len(listed()) == 2


def test_record_that_no_database_takes_costs_itself_alone(context: Context) -> None:
    batch = [record(), record(status_code=-1, response_time_ms=-1.0), record()]
    access_intake.take(batch)
    assert {each.id for each in listed()} == {uuid.UUID(batch[n]["id"]) for n in (0, 2)}
    assert make.take_messages() == []


def test_batch_that_neither_database_nor_broker_takes_is_tried_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def back_at_last(batch: Sequence[Record]) -> int:
        tries.append(len(batch))
        if len(tries) < 4:
            raise DatabaseUnavailable("It is away.")
        return len(batch)

    monkeypatch.setattr(access_log, "store", back_at_last)
    monkeypatch.setattr(broker, "send", lambda messages: False)
    access_intake.take([record()], pause_s=0.0)
    assert tries == [1, 1, 1, 1]
