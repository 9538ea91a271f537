"""Arguments are held against the actor's own signature: strictly, and without calling it."""

import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from pipeline.signatures import MOST_TOLD, BatchId, JobId, misfit

MOST = 3
JOB = str(uuid.UUID(int=0xABC))
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]


def nothing() -> None: ...


def one_job(job_id: JobId) -> None: ...


def batch(job_id: JobId, batch: BatchId) -> None: ...


def listed(ids: Annotated[list[JobId], Field(max_length=MOST)]) -> None: ...


def day(day: Day, *, force: bool = False) -> None: ...


def documents(name: Literal["a", "b"], batch: list[dict[str, Any]], size: int = 1) -> None: ...


async def later(job_id: "JobId") -> None: ...


@pytest.mark.parametrize(
    ("actor", "args", "kwargs"),
    [
        *((nothing, (), {}), (one_job, (JOB,), {}), (one_job, (), {"job_id": JOB})),
        *((batch, (JOB, JOB), {}), (listed, ([],), {}), (listed, ([JOB] * MOST,), {})),
        *((day, ("2026-07-01",), {}), (day, ("2026-07-01",), {"force": True})),
        *((documents, ("a", [{}, {"x": [1]}]), {}), (documents, ("b", [], 5), {})),
        *((later, (JOB,), {}), (print, (1, "x"), {})),
    ],
)
def test_what_the_actor_takes_fits(
    actor: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert misfit(actor, args, kwargs) == ""


@pytest.mark.parametrize(
    ("actor", "args", "kwargs", "place"),
    [
        *((nothing, (1,), {}, "argument 1"), (nothing, (), {"x": 1}, "x")),
        *((one_job, (), {}, "job_id"), (one_job, (7,), {}, "job_id")),
        *((one_job, (uuid.UUID(JOB).hex,), {}, "job_id"), (one_job, (f" {JOB}",), {}, "job_id")),
        *((batch, (JOB, [JOB]), {}, "batch"), (listed, ((JOB,),), {}, "ids")),
        *((listed, ([JOB, 1],), {}, "ids.1"), (listed, ([JOB] * (MOST + 1),), {}, "ids")),
        *((day, ("today",), {}, "day"), (day, ("2026-07-01",), {"force": 1}, "force")),
        *((day, ("2026-07-01", True), {}, "force"), (documents, ("c", []), {}, "name")),
        *((documents, ("a", [{}], True), {}, "size"), (documents, ("a", [[]]), {}, "batch.0")),
        (later, (None,), {}, "job_id"),
    ],
)
def test_what_the_actor_does_not_take_is_told_by_its_place(
    actor: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], place: str
) -> None:
    assert misfit(actor, args, kwargs).startswith(f"{place}: ")


def test_the_actor_is_not_called() -> None:
    def deadly(job_id: JobId) -> None:
        raise AssertionError

    assert misfit(deadly, (JOB,), {}) == ""


def test_of_what_strangers_wrote_little_is_repeated_and_nothing_that_steers_a_terminal() -> None:
    assert misfit(nothing, (), {"\x1b[2J": 1}).startswith("\\x1b[2J: ")
    assert len(misfit(nothing, (), {"x" * 100_000: 1})) <= MOST_TOLD
    assert "secret" not in misfit(one_job, ("secret",), {})
