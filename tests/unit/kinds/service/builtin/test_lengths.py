"""Lengths of documents as people say them."""

import pytest

from pipeline.kinds.service.builtin.lengths import Length, length_of


@pytest.mark.parametrize(
    ("told", "length"),
    [
        (1500, Length(1500, "words")),
        ("5000字", Length(5000, "characters")),
        ("约 2,000 字", Length(2000, "characters")),
        ("about 800 words", Length(800, "words")),
        ("3 pages", Length(1500, "words")),
        ("1 Page.", Length(500, "words")),
        ("700", Length(700, "words")),
    ],
)
def test_length_is_understood(told: int | str, length: Length) -> None:
    assert length_of(told) == length


@pytest.mark.parametrize(("amount", "sections"), [(50, 2), (3000, 5), (50_000, 20)])
def test_length_goes_into_so_many_sections(amount: int, sections: int) -> None:
    assert Length(amount, "words").sections == sections
