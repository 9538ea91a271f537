"""The courier: nobody waits for longer than told, however many acts hang."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.courier import Courier
from tests.support.waiting import eventually

LIMIT_S = 0.2


@pytest.fixture
def courier() -> Iterator[Courier]:
    made = Courier(LIMIT_S)
    yield made
    made.stop(lambda: None)


def hang(courier: Courier) -> threading.Event:
    """Let an act hang until the event that is returned is set."""
    go_on = threading.Event()
    with pytest.raises(TimeoutError):
        courier.run(lambda: go_on.wait(20))
    return go_on


def test_answers_and_errors_come_back(courier: Courier) -> None:
    assert courier.run(lambda: 3) == 3
    with pytest.raises(KeyError):
        courier.run(lambda: {0: 1}[1])
    assert courier.run(lambda: 4) == 4


def test_behind_an_act_that_hangs_nobody_waits_at_all(courier: Courier) -> None:
    go_on = hang(courier)
    done: list[int] = []
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            courier.run(lambda: done.append(1))
    courier.stop(lambda: None)
    assert time.monotonic() - began < LIMIT_S
    go_on.set()
    assert done == []


def test_once_the_act_that_hung_has_ended_others_are_done_again(courier: Courier) -> None:
    hang(courier).set()

    def works() -> bool:
        try:
            return courier.run(lambda: True)
        except TimeoutError:
            return False

    assert eventually(works, within_s=5)


def test_answer_that_came_too_late_is_undone(courier: Courier) -> None:
    go_on = threading.Event()
    undone: list[bool] = []
    with pytest.raises(TimeoutError):
        courier.run(lambda: go_on.wait(20), undo=undone.append)
    assert undone == []
    go_on.set()
    assert eventually(lambda: undone, within_s=5) == [True]


def test_answer_in_time_is_not_undone(courier: Courier) -> None:
    undone: list[int] = []
    assert courier.run(lambda: 1, undo=undone.append) == 1
    assert courier.run(lambda: 2) == 2
    assert undone == []


def test_many_callers_before_one_act_that_hangs_wait_beside_one_another(courier: Courier) -> None:
    go_on = threading.Event()
    took: list[float] = []

    def call() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            courier.run(lambda: go_on.wait(20))
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    go_on.set()
    assert len(took) == 10
    assert max(took) < 3 * LIMIT_S


def test_what_is_left_is_done_in_its_turn_and_nobody_waits(
    courier: Courier, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    go_on = threading.Event()

    def broken() -> None:
        raise ValueError("The act is broken.")

    courier.leave(lambda: go_on.wait(20))
    courier.leave(broken)
    courier.leave(lambda: done.append(courier.run(lambda: 7)))
    assert done == []
    go_on.set()
    assert courier.run(lambda: 8) == 8
    assert done == [7]
    assert "What was left to the courier failed" in caplog.text


def test_behind_what_was_left_and_hangs_only_the_first_waits(courier: Courier) -> None:
    go_on = threading.Event()
    courier.leave(lambda: go_on.wait(20))
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            courier.run(lambda: None)
    assert time.monotonic() - began < 3 * LIMIT_S
    go_on.set()
