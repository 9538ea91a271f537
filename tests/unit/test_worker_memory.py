"""What a worker process loads at its beginning is not looked at by Python's collector."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from pipeline import broker


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The collector is afterwards as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Knot:
    """What holds itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_loaded_is_frozen_and_what_comes_later_is_collected() -> None:
    known = len(gc.get_objects())
    broker._settle_memory()
    assert gc.get_freeze_count() > known / 2
    assert len(gc.get_objects()) < known / 2
    later = weakref.ref(Knot())
    knots = [weakref.ref(Knot()) for _ in range(10)]
    kept = [[] for _ in range(2 * broker.GC_THRESHOLDS[0])]  # type: ignore[var-annotated]
    assert kept
    assert later() is None
    assert all(knot() is None for knot in knots)
