"""Values stand where their names stood, with their types, and nothing is computed."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.templates import filling
from pipeline.core.templates.filling import Filling
from pipeline.core.templates.variables import Variable, VariableType, resolved
from pipeline.errors import Refused
from pipeline.states import Reason

ROOM = 10_000


def filled(document: Any, **values: Any) -> Any:
    return Filling(values, most_bytes=ROOM).filled(document)


@pytest.mark.parametrize("value", ["text", 7, 2.5, True, [1, {"a": None}], {"b": [2]}])
def test_placeholder_is_replaced_by_the_value_with_its_type(value: Any) -> None:
    told = filled({"a": [{"$var": "x"}], "b": {"c": {"$var": "x"}}}, x=value)
    assert told == {"a": [value], "b": {"c": value}}


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("${x}", "a", "a"),
        ("<${x}${x}>", "a", "<aa>"),
        ("n=${x}", 7, "n=7"),
        ("n=${x}", True, "n=true"),
        ("$${x} ${x}", "a", "${x} a"),
        ("$$${x} $x {x} $", "a", "$${x} $x {x} $"),
        ("${x}", "${x} $${x}", "${x} $${x}"),
    ],
)
def test_text_is_put_into_text_once(text: str, value: Any, expected: str) -> None:
    assert filled({"a": text}, x=value) == {"a": expected}


def test_names_of_members_and_values_are_left_as_they_are() -> None:
    assert filled({"${x}": 1}, x="a") == {"${x}": 1}
    assert filled({"a": {"$var": "x"}}, x={"$var": "x"}) == {"a": {"$var": "x"}}


def test_what_has_no_value_is_left_out() -> None:
    assert filled({"a": {"$var": "x"}, "b": [{"$var": "x"}, 1], "c": "<${x}>"}) == {
        **{"b": [1], "c": "<>"},
    }


def test_small_template_makes_no_huge_document() -> None:
    with pytest.raises(Refused, match="larger than") as refused:
        filled({"a": ["${x}"] * 100}, x="y" * (ROOM // 50))
    assert refused.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"a": {"$var": "y"}}, "not declared"),
        ({"a": "${y}"}, "not declared"),
        ({"a": {"$var": "x", "b": 1}}, "exactly"),
        ({"a": {"$var": 1}}, "exactly"),
        ({"a": "${HOME:-/root}"}, "names no variable"),
        ({"a": "${x"}, "names no variable"),
        ({"a": "<${many}>"}, "no text"),
    ],
)
def test_placeholder_that_is_none_is_refused(document: Any, why: str) -> None:
    variables = {"x": Variable(), "many": Variable(type=VariableType.LIST)}
    with pytest.raises(Refused, match=why):
        filling.check(document, variables)


def test_document_that_is_too_deep_is_refused() -> None:
    document: Any = 1
    for _ in range(5000):
        document = [document]
    with pytest.raises(Refused, match="levels deep"):
        filling.check(document, {})


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ({}, 1, "type string"),
        ({"type": "integer"}, 1.0, "type integer"),
        ({"type": "integer"}, True, "type integer"),
        ({"type": "number"}, "1", "type number"),
        ({"type": "number"}, float("nan"), "finite"),
        ({"type": "integer"}, 2**70, "64 bits"),
        ({"type": "boolean"}, 1, "type boolean"),
        ({"type": "list"}, {}, "type list"),
        ({"type": "object"}, [], "type object"),
        ({}, None, "type string"),
        ({"type": "integer", "min": 2}, 1, "less than 2"),
        ({"type": "number", "max": 2}, 2.5, "more than 2"),
        ({"max_length": 2}, "abc", "longer than 2"),
        ({"type": "list", "max_length": 1}, [1, 2], "longer than 1"),
        ({"enum": ["a", "b"]}, "c", "none of 'a', 'b'"),
    ],
)
def test_value_that_is_none_of_the_variable_is_refused_in_a_sentence(
    variable: dict[str, Any], value: Any, why: str
) -> None:
    with pytest.raises(Refused, match=f"The variable x: .*{why}"):
        resolved({"x": Variable(**variable)}, {"x": value}, of="t")


def test_values_come_from_the_caller_or_the_default() -> None:
    variables = {
        "needed": Variable(),
        "usual": Variable(default="u"),
        "maybe": Variable(required=False),
    }
    assert resolved(variables, {"needed": "n"}, of="t") == {"needed": "n", "usual": "u"}
    with pytest.raises(Refused, match="needs the variable needed"):
        resolved(variables, {}, of="t")
    with pytest.raises(Refused, match="no variable 'other'; it has: needed, usual, maybe"):
        resolved(variables, {"other": 1}, of="t")


@pytest.mark.parametrize(
    "told",
    [
        {"default": 1},
        {"default": "a", "required": True},
        {"min": 1},
        {"type": "integer", "max_length": 1},
        {"type": "integer", "default": 5, "max": 4},
        {"enum": ["a", 1]},
        {"enum": ["a"], "default": "b"},
        {"type": "date"},
        {"pattern": "x"},
    ],
)
def test_variable_that_contradicts_itself_is_none(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Variable(**told)


_TEXTS = st.one_of(
    st.text(max_size=10),
    st.lists(st.sampled_from(["$", "{", "}", "${x}", "$${", "${", "a"]), max_size=6).map("".join),
)
_DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["$var", "${x}", "a"]), _TEXTS), inner, max_size=3
        ),
    ),
    max_leaves=20,
)
ALIKE = hypothesis.settings(derandomize=True, database=None, max_examples=300)


def told(document: Any) -> list[Any]:
    """Return every object and list in the document."""
    if isinstance(document, dict):
        return [document, *(each for part in document.values() for each in told(part))]
    if isinstance(document, list):
        return [each for part in document for each in told(part)]
    return []


@ALIKE
@hypothesis.given(document=_DOCUMENTS, value=_TEXTS)
def test_document_is_filled_or_refused_and_nothing_else(document: Any, value: str) -> None:
    try:
        filling.check(document, {"x": Variable()})
    except Refused:
        return
    found = filled({"a": document}, x=value)
    assert not any(filling.VAR in each for each in told(found))


@ALIKE
@hypothesis.given(document=_DOCUMENTS)
def test_document_of_a_job_comes_back_as_it_was(document: Any) -> None:
    hypothesis.assume(not any(filling.VAR in each for each in told(document)))
    escaped = filling.escaped(document)
    filling.check(escaped, {})
    assert filled({"a": escaped}) == {"a": document}
