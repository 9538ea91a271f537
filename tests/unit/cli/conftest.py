"""The command line on a real embedded client in a folder of its own; a stand-in for SQLFluff."""

import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.adapters.sqlfluff.pool import LintReply, LintWork
from pipeline.cli.main import app
from pipeline.core.context import close_context
from pipeline.kinds.sql_lint import work
from pipeline.settings import get_settings
from pipeline.states import Reason
from pipeline.store import database

Quayline = Callable[..., Any]


class StandIn:
    """A pool that needs no SQLFluff: two blanks in a row are its only violation."""

    def __init__(self) -> None:
        self.works: list[LintWork] = []

    def lint_each(
        self, works: Iterable[LintWork], *, cancelled: Callable[[], bool]
    ) -> Generator[LintReply, None, None]:
        for told in works:
            self.works.append(told)
            yield self._lint(told)

    def _lint(self, told: LintWork) -> LintReply:
        text = told.data.decode()
        if "crash" in text:
            return LintReply(Reason.CRASHED, "The linter crashed.", None, 0.0)
        lines = text.splitlines()
        violations = [
            {
                "start_line_no": number,
                "start_line_pos": found.start() + 1,
                "code": "LT01",
                "description": "Expected only single space.",
                "name": "layout.spacing",
                "warning": "-- warn" in line,
                "fixable": True,
            }
            for number, line in enumerate(lines, 1)
            for found in re.finditer("  ", line)
        ]
        fixed = re.sub(" {2,}", " ", text) if told.fix else None
        result = {
            "violations": violations,
            "statistics": {"source_chars": len(text), "templated_chars": len(text)},
            "warnings": [],
            "lines": {str(number): line for number, line in enumerate(lines, 1)},
            "encoding": "utf-8",
            "fixed": fixed,
            "diff": None,
        }
        return LintReply(None, "", result, 0.0)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """What lints in this test; its ``works`` are what it was given."""
    pool = StandIn()
    monkeypatch.setattr(work, "lint_pool", lambda _context: pool)
    return pool


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """The working folder: two clean files and one with two violations."""
    folder = tmp_path / "here"
    for name, text in {
        "a/clean.sql": "SELECT 1\n",
        "b/clean.sql": "SELECT 2\n",
        "b/dirty.sql": "SELECT  1\nFROM  t\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own, named by the environment; returns it."""
    for name in ("DATABASE_URL", "BROKER_URL", "STORAGE_URL", "LOG_LEVEL"):
        monkeypatch.delenv(f"QUAYLINE_{name}", raising=False)
    monkeypatch.setenv("QUAYLINE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QUAYLINE_SWEEP_S", "0.1")
    monkeypatch.setenv("QUAYLINE_BACKOFF_S", "0")
    get_settings.cache_clear()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield tmp_path / "state"
    logging.root.handlers[:], logging.root.level = handlers, level
    close_context()
    database.close_database()
    get_settings.cache_clear()


@pytest.fixture
def quayline(environment: Path, engine: StandIn) -> Quayline:
    """Run a command line in this process; the result has exit_code, stdout and stderr."""

    def run(*told: object, stdin: str | bytes | None = None) -> Any:
        get_settings.cache_clear()
        return CliRunner().invoke(
            app, [str(each) for each in told], input=stdin, prog_name="quayline"
        )

    return run
