"""The next container goes to the host that is the least full of those that fit."""

import pytest

from pipeline.core.hosts import choose
from tests.unit.kinds.container.kit import NOW, host


@pytest.mark.parametrize(
    ("load", "labels", "name"),
    [
        ({}, {}, "a"),
        ({"a": 1}, {}, "b"),
        ({"a": 1, "b": 5}, {}, "a"),
        ({"a": 2, "b": 5}, {}, "b"),
        ({"a": 2, "b": 10}, {}, None),
        ({}, {"disk": "ssd"}, "b"),
        ({"b": 10}, {"disk": "ssd"}, None),
        ({}, {"disk": "hdd"}, None),
        ({}, {"gpu": "1"}, None),
    ],
)
def test_choice(load, labels, name):
    known = [host(name="a", slots=2), host(name="b", slots=10, labels={"disk": "ssd"})]
    known += [host(name="away", away_since=NOW), host(name="drained", is_draining=True)]
    known += [host(name="none", slots=0)]
    found = choose(known, load, labels)
    assert (found.name if found else None) == name
