"""Event rows: runs lose no task, and any text becomes one that a database takes."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.history import clean, runs


@given(st.sets(st.integers(0, 300)))
def test_runs_are_the_same_numbers_in_the_fewest_ranges(seqs: set[int]) -> None:
    found = runs(list(seqs))
    assert [seq for first, last in found for seq in range(first, last + 1)] == sorted(seqs)
    assert all(found[i][1] + 1 < found[i + 1][0] for i in range(len(found) - 1))


def test_runs_are_closed() -> None:
    assert runs([7, 3, 1, 2]) == [[1, 3], [7, 7]]


@given(st.text(st.characters(), max_size=50) | st.text("a\0\ud800\U0001f600").map(lambda t: t * 99))
def test_a_cleaned_text_fits_a_database(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert len(cleaned) == min(len(text), 2000)
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=2000))
def test_a_good_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text
