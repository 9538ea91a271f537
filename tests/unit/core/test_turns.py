"""One thread works, one waits on behalf of all that come; nobody is held by one that hangs."""

import threading
import time
from collections.abc import Callable

import pytest

from pipeline.core import turns
from pipeline.core.turns import Turns
from tests.support.waiting import eventually


class Crowd:
    """Threads that take turns; ``seen`` holds what had been changed when each of them worked."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.changes = 0
        self.seen: list[int] = []
        self.covered = 0
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []

    def come(self) -> None:
        """Let one more change something and take its turn."""
        thread = threading.Thread(target=self._work, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _work(self) -> None:
        self.changes += 1
        with self.turns.taken() as is_mine:
            if not is_mine:
                self.covered += 1
                return
            self.seen.append(self.changes)
            if len(self.seen) == 1:
                self.go_on.wait(20)

    def end(self) -> None:
        """Let the first go on, and wait for all."""
        self.go_on.set()
        for thread in self.threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def crowd() -> Crowd:
    """A crowd whose first is at work."""
    made = Crowd()
    made.come()
    eventually(lambda: made.seen == [1], within_s=5)
    return made


def test_one_waits_for_all_that_come_and_sees_what_they_changed(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 20.0)
    for _ in range(6):
        crowd.come()
    eventually(lambda: crowd.covered == 5, within_s=5)
    assert crowd.seen == [1]
    crowd.end()
    assert crowd.seen == [1, 7]


def test_who_comes_after_the_last_look_looks_again(crowd: Crowd) -> None:
    crowd.end()
    for _ in range(2):
        crowd.come()
        crowd.end()
    assert crowd.seen == [1, 2, 3]
    assert crowd.covered == 0


def test_nobody_waits_long_behind_one_that_hangs(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.2)
    began = time.monotonic()
    for _ in range(3):
        crowd.come()
        crowd.threads[-1].join(5)
    assert crowd.seen == [1, 2, 3, 4]
    assert time.monotonic() - began < 3
    crowd.end()


def test_work_that_fails_gives_its_turn_back() -> None:
    tried = Turns()

    def fail() -> None:
        with tried.taken():
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
    assert took(lambda: enter(tried)) < turns.PATIENCE_S / 2


def enter(tried: Turns) -> None:
    with tried.taken() as is_mine:
        assert is_mine


def took(act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
