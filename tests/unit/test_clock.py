"""Ids hold the time at which they were made, and sort by it."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

from pipeline import clock

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def test_id_of_a_moment_tells_it_to_the_millisecond() -> None:
    made = clock.id_at(NOON)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert clock.time_of(made) == NOON.replace(microsecond=123_000)
    assert clock.time_of(clock.id_at(NOON.astimezone(timezone(timedelta(hours=9))))) == (
        clock.time_of(made)
    )


def test_ids_of_one_moment_differ() -> None:
    assert len({clock.id_at(NOON) for _ in range(10_000)}) == 10_000


def test_least_id_lies_between_what_was_made_before_and_since() -> None:
    least = clock.least_id(NOON)
    assert clock.id_at(NOON - MS) < least < clock.id_at(NOON)
    assert clock.least_id(NOON + MS) > clock.id_at(NOON)
    assert clock.least_id(datetime(1960, 1, 1, tzinfo=UTC)).int == 0


def test_new_id_is_of_now() -> None:
    before = clock.now() - MS
    assert before <= clock.time_of(clock.new_id()) <= clock.now()
