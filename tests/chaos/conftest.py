"""How far a chaos scenario goes: the short form in CI, the long form (``--long``) by hand."""

from dataclasses import dataclass
from typing import TypeVar

import pytest

from tests.support.recount import Recount

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


#: The lines of figures of this run, shown together at its end.
LINES: list[str] = []


def told(found: Recount, what: str, **more: object) -> None:
    """Keep the line of figures for the end of the run; the rows must be sound."""
    line = found.line(what, **more)
    LINES.append(line)
    assert found.sound, line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines of figures."""
    if LINES:
        terminalreporter.section("recounts")
        for line in LINES:
            terminalreporter.line(line)
