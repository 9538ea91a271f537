"""What a process counts: nothing before it begins, ids never, many at the cost of one."""

import re

from prometheus_client import CollectorRegistry

from pipeline import metrics
from pipeline.metrics import Counter, Figure, Histogram


def test_names_are_in_base_units_and_labels_are_no_ids() -> None:
    names = [figure.name for figure in Figure.declared]
    assert len(names) == len(set(names))
    for figure in Figure.declared:
        assert re.fullmatch("quayline_[a-z_]+", figure.name)
        assert figure.text.endswith(".")
        assert not [each for each in figure.labels if each in ("job", "task") or "id" in each]
        if isinstance(figure, Histogram):
            assert figure.name.endswith("_seconds")
        if isinstance(figure, Counter):
            assert not figure.name.endswith("_total")


def test_nothing_is_counted_before_it_begins() -> None:
    quiet = Counter("quayline_quiet", "Quiet.", ("kind",))
    Figure.declared.remove(quiet)
    quiet.add("x")
    registry = CollectorRegistry()
    quiet.make(registry)
    quiet.add("x", by=5)
    assert registry.get_sample_value("quayline_quiet_total", {"kind": "x"}) == 5


def test_many_at_once_are_the_same_as_one_after_the_other() -> None:
    histogram = Histogram("quayline_test_seconds", "Of this.", ("kind",), bounds=(0.1, 1.0))
    Figure.declared.remove(histogram)
    registry = CollectorRegistry()
    histogram.make(registry)
    values = [0.0, 0.05, 0.1, 0.5, 1.0, 3.0, 3.0]
    for value in values:
        histogram.observe(value, "single")
    histogram.observe_all(values, "many")
    histogram.observe_all([], "many")
    for name, labels in (
        ("count", {}),
        ("sum", {}),
        *(("bucket", {"le": le}) for le in ("0.1", "1.0", "+Inf")),
    ):
        single, many = (
            registry.get_sample_value(f"quayline_test_seconds_{name}", {"kind": kind, **labels})
            for kind in ("single", "many")
        )
        assert single == many
        assert single is not None


def test_beginning_twice_is_one_registry() -> None:
    assert metrics.begin() is metrics.begin()
