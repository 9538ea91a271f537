"""What could not be written is known to whoever waits for it."""

import pytest

from pipeline.core import trouble
from pipeline.core.runner import _patiently
from pipeline.errors import DatabaseUnavailable


@pytest.fixture(autouse=True)
def before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without trouble."""
    monkeypatch.setattr(trouble, "_noted_at", None)


def test_trouble_is_told_for_as_long_as_one_asks() -> None:
    assert not trouble.within(3600)
    trouble.note(DatabaseUnavailable("The disk is full."))
    assert trouble.within(3600)
    assert not trouble.within(-1)


def test_patient_writing_is_trouble_though_it_ends_well() -> None:
    failures = iter([DatabaseUnavailable("The disk is full.")])
    for attempt in _patiently(5):
        with attempt:
            for failure in failures:
                raise failure
    assert trouble.within(3600)
