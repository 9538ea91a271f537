"""What a service job may ask for."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import Permanent, Refused
from pipeline.kinds.service import passing
from pipeline.kinds.service.spec import ServiceParameters, admit, calls
from pipeline.settings import Settings

ONE = {"mode": "chat", "service": "s", "task": "t"}


def step(name: str, **told: Any) -> dict[str, Any]:
    return {"name": name, **ONE, **told}


def why(told: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        ServiceParameters.model_validate(told)
    return str(caught.value)


def test_one_call() -> None:
    told = ServiceParameters(**ONE, input={"a": 1}, user_id="u", step=7)
    [call] = calls(told)
    assert (call.name, call.input, call.user_id, call.step) == ("t", {"a": 1}, "u", 7)


def test_one_call_for_each_input() -> None:
    told = ServiceParameters(**ONE, inputs=[{"n": n} for n in range(3)], context={"k": "v"})
    found = list(calls(told))
    assert [call.name for call in found] == ["t 1", "t 2", "t 3"]
    assert [call.input["n"] for call in found] == [0, 1, 2]
    assert all(call.context == {"k": "v"} for call in found)


def test_steps_know_the_places_of_their_needs() -> None:
    told = ServiceParameters(steps=[step("b", needs=["a"], input={"x": {"$from": "a"}}), step("a")])
    first, second = calls(told)
    assert (first.needs, first.step, second.needs) == ({"a": 1}, 1, {})


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "give mode, service and task, or steps"),
        ({"mode": "chat", "service": "s"}, "give mode, service and task, or steps"),
        ({**ONE, "input": {}, "inputs": [{}]}, "give input or inputs, not both"),
        ({**ONE, "steps": [step("a")]}, "beside steps there is no mode"),
        ({"steps": []}, "at least 1 item"),
        ({**ONE, "inputs": []}, "at least 1 item"),
        ({"steps": [step("a"), step("a")]}, "two steps are named 'a'"),
        ({"steps": [step("a", needs=["b"])]}, "the step 'a' needs 'b', which is no step"),
        (
            {"steps": [step("a", needs=["b"]), step("b", needs=["a"])]},
            "the steps need one another in a circle",
        ),
        ({"steps": [step("a", needs=["a"])]}, "in a circle: a -> a"),
        (
            {"steps": [step("a"), step("b", input={"x": [{"$from": "a"}]})]},
            "the step 'b' takes from 'a'; name it in its needs",
        ),
        ({**ONE, "more": 1}, "Extra inputs are not permitted"),
        ({**ONE, "mode": "a\0"}, "String should match pattern"),
        ({**ONE, "input": {"a": {1, 2}}}, "input was not a valid JSON value"),
        ({**ONE, "step": -1}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    told: dict[str, Any], sentence: str
) -> None:
    assert sentence in why(told)


def test_input_over_the_bound_is_refused() -> None:
    told = ServiceParameters(**ONE, inputs=[{}, {"a": "x" * 2000}])
    with pytest.raises(Refused, match="The input of 't 2' takes 2008 bytes; the most is 1000"):
        admit(told, Settings(service_input_bytes=1000))


def test_results_are_put_where_the_input_says() -> None:
    value = {
        "a": {"$from": "x", "path": "list.1.b"},
        "c": [{"$from": "y"}],
        "d": {"$from": 1, "e": 2},
    }
    found = passing.filled(value, {"x": {"list": [0, {"b": 5}]}, "y": "text"})
    assert found == {"a": 5, "c": ["text"], "d": {"$from": 1, "e": 2}}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"$from": "z"}, "The step 'z' has no result"),
        ({"$from": "x", "path": "a.b"}, "The result of 'x' has nothing at 'a.b'"),
        ({"$from": "x", "path": "list.9"}, "has nothing at 'list.9'"),
        ({"$from": "x", "path": "list.key"}, "has nothing at 'list.key'"),
    ],
)
def test_result_that_is_not_there_is_told(value: Any, sentence: str) -> None:
    with pytest.raises(Permanent, match=sentence):
        passing.filled(value, {"x": {"list": []}})
