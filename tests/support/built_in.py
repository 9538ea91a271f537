"""Calls of built-in services as a worker makes them, without one."""

import asyncio
from typing import Any

from pipeline.kinds.service import calling, registry
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.runs import Run
from pipeline.kinds.service.surroundings import Surroundings


class Noted(list[tuple[str, Any]]):
    """What a call tells."""

    def note(self, word: str, value: Any) -> None:
        self.append((word, value))

    def of(self, word: str) -> list[Any]:
        """Return what was told under the word."""
        return [value for told, value in self if told == word]


def call(
    label: str,
    task: str,
    given: dict[str, Any],
    *,
    context: dict[str, Any] | None = None,
    noted: Noted | None = None,
    checkpoint: Any = None,
    stopped: bool = False,
) -> Answer:
    """Return how the call ends."""
    registry.load([])
    mode, _, name = label.partition("/")
    run = Run("t", "j", 1, mode, name, task, "ann", 1, given, context or {}, {}, checkpoint)
    noted = Noted() if noted is None else noted
    surroundings = Surroundings(run, noted.note, lambda: stopped)
    return calling.answer(
        *(registry.find(mode, name), task, given, surroundings),
        awaiting=asyncio.run,
        most_bytes=4 * 1024 * 1024,
    )


def result(label: str, task: str, given: dict[str, Any], **more: Any) -> Any:
    """Return what a call returns that ends well."""
    answer = call(label, task, given, **more)
    assert answer.reason is None, answer.message
    return answer.result


def error(label: str, task: str, given: dict[str, Any], **more: Any) -> str:
    """Return what a call says that fails for good."""
    answer = call(label, task, given, **more)
    assert answer.reason is not None, answer.result
    assert not answer.again, answer.message
    return answer.message
