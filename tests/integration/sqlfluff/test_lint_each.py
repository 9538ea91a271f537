"""Files one after the other in one child, the next on its way while one is linted."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.adapters.sqlfluff import LintPool
from pipeline.adapters.sqlfluff.pool import LintWork
from pipeline.errors import Transient
from pipeline.states import Reason
from tests.integration.sqlfluff.conftest import work
from tests.integration.sqlfluff.test_pool import CLEAN, LOOP

LIMIT_S = 1.0

#: Nobody reads it as text, and no socket takes it at once.
BINARY = b"\0\1" * 1_500_000


@pytest.fixture
def alone() -> Iterator[LintPool]:
    """A pool of one place, whose files have a second each."""
    pool = LintPool(1, time_limit_s=LIMIT_S)
    yield pool
    pool.close()


def test_replies_come_in_order_from_one_child(alone: LintPool):
    works = [work(f"SELECT {'a  AS b, ' * number}1\n") for number in range(8)]
    replies = list(alone.lint_each(works))
    counts = [len(reply.result["violations"]) for reply in replies if reply.result is not None]
    assert counts == sorted(set(counts))
    assert len(counts) == 8
    assert [child.files for child in alone._idle] == [8]


def test_only_the_next_file_is_asked_for_ahead(alone: LintPool):
    asked: list[int] = []

    def works() -> Iterator[LintWork]:
        for number in range(4):
            asked.append(number)
            yield work(CLEAN)

    with closing(alone.lint_each(works())) as replies:
        seen = [len(asked) for _ in replies]
    assert seen == [2, 3, 4, 4]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (LOOP, Reason.TIME_LIMIT),
        ("SELECT {{ 1 / 0 }}\n", Reason.ENGINE_ERROR),
        (BINARY, Reason.UNREADABLE),
    ],
    ids=["killed", "not used again", "larger than a socket"],
)
def test_bad_file_costs_none_of_those_around_it(alone: LintPool, sql: str | bytes, reason: Reason):
    works = [work(CLEAN), work(sql), work("SELECT  a\n"), work(sql), work(CLEAN)]
    replies = list(alone.lint_each(works))
    assert [reply.reason for reply in replies] == [None, reason, None, reason, None]
    found = [len(reply.result["violations"]) for reply in replies if reply.result is not None]
    assert found == [0, 1, 0]


def test_time_of_a_file_begins_when_the_one_before_is_answered(alone: LintPool):
    began = time.monotonic()
    replies = list(alone.lint_each([work(LOOP), work(LOOP), work(CLEAN)]))
    assert [reply.reason for reply in replies] == [Reason.TIME_LIMIT, Reason.TIME_LIMIT, None]
    assert time.monotonic() - began >= 2 * LIMIT_S


def test_child_that_is_killed_costs_only_the_file_it_works_on():
    pool = LintPool(1, time_limit_s=60)
    try:
        with closing(pool.lint_each([work(CLEAN), work(LOOP), work(CLEAN)])) as replies:
            assert next(replies).reason is None
            [child] = pool._busy
            killer = threading.Timer(0.3, os.kill, (child.pid, signal.SIGKILL))
            killer.start()
            assert [reply.reason for reply in replies] == [Reason.CRASHED, None]
            killer.join()
    finally:
        pool.close()


def test_zygote_and_child_that_die_together_cost_nothing():
    pool = LintPool(1, time_limit_s=60)
    try:
        with closing(pool.lint_each([work(CLEAN)] * 3)) as replies:
            assert next(replies).reason is None
            assert pool._zygote is not None
            os.kill(pool._zygote.pid, signal.SIGKILL)
            [child] = pool._busy
            os.kill(child.pid, signal.SIGKILL)
            assert [reply.reason for reply in replies] == [None, None]
    finally:
        pool.close()


def test_who_leaves_early_leaves_a_free_place_and_no_child_at_work(alone: LintPool):
    with closing(alone.lint_each([work(CLEAN), work(LOOP), work(CLEAN)])) as replies:
        assert next(replies).reason is None
        assert len(alone._busy) == 1
    assert (alone._busy, alone._idle, alone._taken) == (set(), [], 0)
    assert alone.lint(work(CLEAN)).reason is None
    assert len(alone._idle) == 1


def test_files_that_cannot_be_made_end_the_row(alone: LintPool):
    def works() -> Iterator[LintWork]:
        yield work(CLEAN)
        raise Transient("The storage is away.")

    with pytest.raises(Transient, match="storage"), closing(alone.lint_each(works())) as replies:
        list(replies)
    assert (alone._busy, alone._taken) == (set(), 0)


def test_no_file_takes_no_place(alone: LintPool):
    assert list(alone.lint_each([])) == []
    assert (alone._idle, alone._taken) == ([], 0)


def test_files_of_somebody_who_gave_up_waiting_are_cancelled():
    pool = LintPool(1, time_limit_s=60)
    try:
        with closing(pool.lint_each([work(CLEAN), work(LOOP)])) as first:
            next(first)
            told = list(pool.lint_each([work(CLEAN)] * 2, cancelled=lambda: True))
        assert [reply.reason for reply in told] == [Reason.CANCELLED] * 2
    finally:
        pool.close()
