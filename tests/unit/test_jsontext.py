"""What is written as JSON is read back, whatever a stranger chose."""

import json
from typing import Any

import orjson
import pytest

from pipeline.jsontext import encoded


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True], "b": {"c": "naïve 中文\u2028\x00"}},
        {"huge": 2**70, "negative": -(2**64)},
        [],
        "",
    ],
)
def test_value_is_read_back(value: Any) -> None:
    assert json.loads(encoded(value)) == value


def test_keys_become_texts() -> None:
    assert json.loads(encoded({3: "x"})) == {"3": "x"}


def test_half_a_surrogate_pair_becomes_a_question_mark_that_all_read() -> None:
    assert orjson.loads(encoded({"a\ud800": "\udfff b"})) == {"a?": "? b"}


def test_hundreds_of_levels_are_written() -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    assert json.loads(encoded(deep)) == deep
