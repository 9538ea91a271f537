"""Which refusals of heartbeats end the work."""

import httpx
import pytest

from pipeline.collect.refusals import Refusals
from pipeline.web.problems import answer as problem

STRANGE = httpx.Response(404, text="<h1>default backend</h1>")


def final(*moments: float, answer: httpx.Response = STRANGE) -> bool:
    refusals = Refusals()
    for now_s in moments:
        assert refusals.note(answer, now_s)
    return refusals.final(answer, moments[-1])


def test_word_of_the_service_is_final_at_once() -> None:
    told = problem(403, "The token is not one of this execution.", "forbidden")

    assert final(0.0, answer=httpx.Response(403, content=bytes(told.body)))


@pytest.mark.parametrize("moments", [(0.0,), (0.0, 40.0), (0.0, 1.0, 2.0, 29.0)])
def test_word_of_another_is_not_final_soon(moments: tuple[float, ...]) -> None:
    assert not final(*moments)


def test_three_in_half_a_minute_are_final() -> None:
    assert final(0.0, 15.0, 30.0)


@pytest.mark.parametrize("between", [httpx.Response(200), httpx.Response(502), None])
def test_any_other_answer_ends_the_row(between: httpx.Response | None) -> None:
    refusals = Refusals()
    for now_s in (0.0, 15.0):
        refusals.note(STRANGE, now_s)

    assert not refusals.note(between, 20.0)

    refusals.note(STRANGE, 40.0)
    assert not refusals.final(STRANGE, 40.0)
