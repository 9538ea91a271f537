"""The cut of a batch: from a job's due tasks, largest first, those that go together."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.dispatch import LEAST_IN_FLIGHT, SMALLEST_BATCH, Candidate, _budget, _cut, _free
from pipeline.settings import Settings

Row = tuple[uuid.UUID, int, int]


@st.composite
def due(draw: st.DrawFn, most_strikes: int = 0) -> list[Row]:
    """Rows as ``_take`` reads them: (id, size, strikes), the largest first."""
    sizes = sorted(draw(st.lists(st.integers(0, 2000), max_size=30)), reverse=True)
    strikes = st.integers(0, most_strikes)
    return [(uuid.UUID(int=place), size, draw(strikes)) for place, size in enumerate(sizes)]


@given(due(), st.integers(1, 3000))
def test_the_largest_go_first(rows: list[Row], batch_bytes: int) -> None:
    picked = _cut(rows, batch_bytes)
    assert picked == [row[0] for row in rows[: len(picked)]]


@given(due(), st.integers(1, 3000))
def test_a_batch_holds_no_more_bytes_than_allowed_or_one_big_task(
    rows: list[Row], batch_bytes: int
) -> None:
    picked = _cut(rows, batch_bytes)
    assert sum(size for _, size, _ in rows[: len(picked)]) <= batch_bytes or len(picked) == 1


@given(due(), st.integers(1, 3000))
def test_a_batch_is_full(rows: list[Row], batch_bytes: int) -> None:
    picked = len(_cut(rows, batch_bytes))
    assert picked == len(rows) or sum(size for _, size, _ in rows[: picked + 1]) > batch_bytes


@given(due(2), st.integers(1, 3000))
def test_a_batch_is_empty_only_when_nothing_is_due(rows: list[Row], batch_bytes: int) -> None:
    assert bool(_cut(rows, batch_bytes)) == bool(rows)


@given(due(2), st.integers(1, 3000))
def test_a_struck_task_goes_alone(rows: list[Row], batch_bytes: int) -> None:
    picked = set(_cut(rows, batch_bytes))
    assert len(picked) == 1 or not any(strikes for task, _, strikes in rows if task in picked)


@given(due(2), st.integers(1, 3000))
def test_every_task_is_sent_in_the_end_and_once(rows: list[Row], batch_bytes: int) -> None:
    left, sent = list(rows), []
    while left:
        picked = _cut(left, batch_bytes)
        sent += picked
        left = [row for row in left if row[0] not in picked]
    assert sorted(sent) == [row[0] for row in rows]


def test_ids_as_text_and_as_uuid_are_the_same() -> None:
    task = uuid.uuid4()
    assert _cut([(task.hex, 1, 0)], 10) == _cut([(task, 1, 0)], 10) == [task]


def test_next_is_priority_then_fewest_in_flight_fewest_done_fewest_left_then_oldest() -> None:
    old, new = uuid.UUID(int=1), uuid.UUID(int=2)
    order = [
        Candidate(new, priority=9, done=50, left=90, in_flight=8),
        Candidate(new, priority=5, done=50, left=90, in_flight=0),
        Candidate(new, priority=5, done=3, left=10, in_flight=1),
        Candidate(old, priority=5, done=3, left=90, in_flight=1),
        Candidate(new, priority=5, done=3, left=90, in_flight=1),
        Candidate(old, priority=5, done=4, left=1, in_flight=1),
        Candidate(old, priority=0, done=0, left=1, in_flight=0),
    ]
    candidates = order[::-1]
    assert sorted(candidates, key=lambda each: each.rank) == order


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(1, 64))
def test_a_batch_is_a_fair_share_of_what_is_left_within_bounds(
    due_bytes: int, batch_bytes: int, window: int
) -> None:
    told = Settings(batch_bytes=batch_bytes, window=window)
    budget = _budget(due_bytes, told, alone=True)
    assert batch_bytes // SMALLEST_BATCH <= budget <= batch_bytes
    assert budget <= max(due_bytes // window, batch_bytes // SMALLEST_BATCH)


@given(st.integers(0, 10**9))
def test_a_job_among_others_goes_in_whole_batches(due_bytes: int) -> None:
    settings = Settings()
    assert _budget(due_bytes, settings, alone=False) == settings.batch_bytes


@given(st.integers(0, 500), st.integers(0, 500))
def test_as_many_batches_wait_as_are_in_work(waiting: int, in_work: int) -> None:
    settings = Settings(broker_url="amqp://mq/")
    free = _free(settings, waiting + in_work, in_work)
    assert waiting + free == max(in_work, LEAST_IN_FLIGHT - in_work)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 64))
def test_a_window_that_is_told_is_kept(waiting: int, in_work: int, window: int) -> None:
    settings = Settings(broker_url="amqp://mq/", window=window)
    assert waiting + in_work + _free(settings, waiting + in_work, in_work) == window
