"""Fixtures of every test: settings in a temporary folder, an open context on each database."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.context import Context, close_context, open_context
from pipeline.core.kinds import register
from pipeline.settings import Settings
from pipeline.store import database
from tests.support import trivial
from tests.support.recount import LINES
from tests.support.services import own_database

register(trivial.KIND)

pytest_plugins = ["tests.support.faults"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the fault tests go further than CI has time for."""
    parser.addoption("--long", action="store_true", help="run the long form of tests/chaos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: else one process still runs it when the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("chaos") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have what a test has printed in a form that can be sent from process to process."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the lines of figures to the process that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["recounts"] = LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the lines of a process that has ended."""
    LINES.extend(getattr(node, "workeroutput", {}).get("recounts", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines of figures."""
    if LINES:
        terminalreporter.section("recounts")
        for line in LINES:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database of this session's own."""
    with own_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'quayline.db'}"
    return str(request.getfixturevalue("postgres"))


#: Tables that hold no test's rows.
KEPT = {"migratehistory", "deployment"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an embedded service in a temporary folder."""
    return Settings(state_dir=tmp_path / "state", worker_name="worker", backoff_s=0.0, window=4)


@pytest.fixture
def context(settings: Settings, any_database_url: str) -> Iterator[Context]:
    """An open context on an empty database of each kind; messages stay in memory, unread."""
    opened = open_context(settings.model_copy(update={"database_url": any_database_url}))
    if database.dialect().postgres:
        with database.session():
            tables = set(database.proxy.obj.get_tables()) - KEPT
            database.execute(f"TRUNCATE {', '.join(sorted(tables))}")
    yield opened
    close_context()
