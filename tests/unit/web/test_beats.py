"""Groups of heartbeats: bounded in number and in bytes."""

import asyncio
import uuid

import pytest

from pipeline.core import executions
from pipeline.core.executions import Answer, Beat
from pipeline.web import beats
from pipeline.web.beats import Beats
from pipeline.web.figures import Figures
from pipeline.web.problems import HttpProblem

PROGRESS_BYTES = 50_000


def beat() -> Beat:
    """Return a heartbeat with much to say."""
    return Beat(uuid.uuid4(), 1, "", "running", {"log": "x" * PROGRESS_BYTES})


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many heartbeats were written together, group by group."""
    sizes: list[int] = []

    def write(told: list[Beat]) -> list[Answer]:
        sizes.append(len(told))
        return [Answer(live=True, cancel=False) for _ in told]

    monkeypatch.setattr(executions, "beat", write)
    return sizes


def test_group_is_bounded_in_bytes(groups: list[int]) -> None:
    async def flood() -> None:
        noting = Beats(Figures())
        await asyncio.gather(*(noting.note(beat()) for _ in range(200)))
        assert noting._waiting_bytes == 0

    asyncio.run(flood())
    assert sum(groups) == 200
    assert max(groups) * PROGRESS_BYTES <= beats.MOST_BYTES_IN_GROUP


def test_heartbeat_larger_than_a_group_is_one(
    groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "MOST_BYTES_IN_GROUP", 10)

    async def flood() -> None:
        noting = Beats(Figures())
        await asyncio.gather(*(noting.note(beat()) for _ in range(3)))

    asyncio.run(flood())
    assert groups == [1, 1, 1]


def test_heartbeats_that_wait_are_bounded_in_bytes(
    groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "MOST_BYTES_WAITING", 2 * PROGRESS_BYTES)

    async def flood() -> list[Answer | BaseException]:
        noting = Beats(Figures())
        return await asyncio.gather(
            *(noting.note(beat()) for _ in range(3)), return_exceptions=True
        )

    told = asyncio.run(flood())
    assert [isinstance(each, HttpProblem) for each in told] == [False, True, True]
    assert sum(groups) == 1
