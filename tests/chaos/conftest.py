"""How far a chaos scenario goes: the short form in CI, the long form (``--long``) by hand."""

from dataclasses import dataclass
from typing import TypeVar

import pytest

from tests.support.recount import LINES, Recount

T = TypeVar("T")

#: No scenario of the long form may run longer, in seconds.
LONG_LIMIT_S = 3600


@dataclass(frozen=True, slots=True)
class Form:
    """Picks a scenario's size: ``form.of(20, 100)`` kills are 20 in CI and 100 by hand."""

    is_long: bool

    def of(self, short: T, long: T) -> T:
        """Return the size of this form."""
        return long if self.is_long else short


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Form:
    """The form that was asked for."""
    return Form(request.config.getoption("--long"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the long form its time."""
    if config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("chaos"):
                item.add_marker(pytest.mark.timeout(LONG_LIMIT_S), append=False)


def told(found: Recount, what: str, **more: object) -> None:
    """Keep the line of figures for the end of the run; the rows must be sound."""
    line = found.line(what, **more)
    LINES.append(line)
    assert found.sound, line
