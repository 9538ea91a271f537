"""Waiting on a condition, never on time."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

_never = threading.Event()


def eventually(
    predicate: Callable[[], T], *, within_s: float, what: str = "", every_s: float = 0.05
) -> T:
    """Return the predicate's first true answer; the test fails when there is none in time."""
    deadline = monotonic() + within_s
    while True:
        answer = predicate()
        if answer:
            return answer
        if monotonic() >= deadline:
            told = what or getattr(predicate, "__name__", "the condition")
            raise AssertionError(f"Not within {within_s} s: {told} (last answer: {answer!r})")
        _never.wait(every_s)
