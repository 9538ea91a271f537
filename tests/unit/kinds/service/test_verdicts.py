"""What follows the end of a call's run."""

import uuid
from typing import Any

import pytest

from pipeline.core.tasks import Claim
from pipeline.kinds.service import Limits, verdicts
from pipeline.kinds.service.calling import Answer
from pipeline.settings import Settings
from pipeline.states import Reason

SETTINGS = Settings(backoff_s=1.0, backoff_max_s=100.0)
LIMITS = Limits(max_attempts=3)


def claim(strikes: int = 0) -> Claim:
    return Claim(uuid.UUID(int=1), 0, "", strikes + 1, strikes, 0, {})


def decide(answer: Answer, *, strikes: int = 0, **told: Any):
    return verdicts.decide(answer, claim(strikes), LIMITS, SETTINGS, **told)


def test_good_end_and_a_time_limit_need_no_decision() -> None:
    assert decide(Answer({})) is None
    assert decide(Answer(None, Reason.TIME_LIMIT)) is None


def test_error_that_is_not_listed_fails_at_once() -> None:
    assert decide(Answer(None, Reason.ERROR)).state == "failed"


@pytest.mark.parametrize(("strikes", "state"), [(0, "pending"), (1, "pending"), (2, "failed")])
def test_listed_error_is_tried_as_often_as_allowed(strikes: int, state: str) -> None:
    told = decide(Answer(None, Reason.ERROR, again=True), strikes=strikes)
    assert (told.state, told.forgiven) == (state, False)


def test_service_says_how_long_to_wait_within_bounds() -> None:
    assert decide(Answer(None, Reason.ERROR, again=True, after_s=50)).delay_s == 50
    assert decide(Answer(None, Reason.ERROR, again=True, after_s=1e9)).delay_s == 86_400
    assert decide(Answer(None, Reason.ERROR, again=True, after_s=0)).delay_s >= 0.5


def test_shared_pause_is_forgiven_for_a_while() -> None:
    answer = Answer(None, Reason.ERROR, again=True, after_s=5, shared=True)
    told = decide(answer, strikes=7, since_s=599)
    assert (told.state, told.forgiven) == ("pending", True)
    assert decide(answer, strikes=7, since_s=600).state == "failed"
    assert not decide(answer, strikes=0, since_s=600).forgiven


def test_long_work_in_pieces_is_no_bad_end() -> None:
    asked = Answer(None, Reason.ERROR, again=True, is_asked=True)
    assert decide(asked, strikes=2, has_moved=True).forgiven
    assert decide(asked, strikes=2).state == "failed"
    crashed = Answer(None, Reason.CRASHED, again=True)
    assert decide(crashed, strikes=2, has_moved=True).state == "failed"


def test_late_call_ended_well_or_for_that_reason() -> None:
    assert verdicts.of_late(Answer({"a": 1}), LIMITS).result == {"a": 1}
    late = verdicts.of_late(Answer(None, Reason.ERROR), LIMITS)
    assert (late.reason, late.message) == (
        Reason.TIME_LIMIT,
        "It ran longer than its soft limit (300 s).",
    )


def test_calls_without_room_come_back_one_after_the_other() -> None:
    narrow, slow = Limits(concurrency=2), Limits(rate_per_s=10)
    assert verdicts.wait_s(0.5, 1000, narrow, spread=0) == 5
    assert verdicts.wait_s(0.5, 1000, narrow, spread=1) == 255
    assert verdicts.wait_s(1.2, 100, slow, spread=0.5) == pytest.approx(6.2)
