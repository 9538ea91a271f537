"""What an archive or a SQL file brings to run code or read files is refused, and told."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlfluff.core import FluffConfig, Linter

from pipeline.adapters.sqlfluff import ConfigTree, LintWork
from pipeline.adapters.sqlfluff.linting import Engine
from pipeline.states import Reason
from tests.integration.sqlfluff.conftest import work

SECRET = "canary_secret_text"
SQL = "SELECT {{ canary }}, {{ leak() }}, {% include 'leak.sql' %} FROM t\n"


class Trap:
    """A library that leaves a trace when it is imported, and macros that are a secret."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "touched"
        self.library = folder / "library"
        self.macros = folder / "macros"
        for made in (self.library, self.macros):
            made.mkdir(parents=True)
        code = f"open({str(self.trace)!r}, 'w').close()\nSQLFLUFF_JINJA_FILTERS = {{}}\n"
        (self.library / "canary.py").write_text(code)
        (self.macros / "leak.sql").write_text(f"{{% macro leak() %}}{SECRET}{{% endmacro %}}")

    def keys(self) -> dict[str, list[tuple[str, str]]]:
        """Hostile (key, value) pairs by section of a configuration file."""
        library, macros = str(self.library), str(self.macros)
        return {
            "": [("library_path", library), ("templater", "dbt")],
            "templater:jinja": [
                ("library_path", library),
                ("loader_search_path", macros),
                ("load_macros_from_path", macros),
            ],
            "templater:dbt": [("project_dir", library), ("profiles_dir", library)],
            "templater:dbt:context": [("library_path", library)],
        }

    def ini(self) -> bytes:
        lines = []
        for section, pairs in self.keys().items():
            lines.append(f"[sqlfluff{':' if section else ''}{section}]")
            lines += [f"{key} = {value}" for key, value in pairs]
        return "\n".join(lines).encode()

    def toml(self) -> bytes:
        lines = []
        for section, pairs in self.keys().items():
            lines.append(f"[tool.sqlfluff.{section.replace(':', '.') or 'core'}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in pairs]
        return "\n".join(lines).encode()

    def inline(self) -> str:
        lines = []
        for section, pairs in self.keys().items():
            above = f"{section}:" if section else ""
            for key, value in pairs:
                lines += [f"-- sqlfluff:{above}{key}:{value}", f"--sqlfluff: {above}{key} :{value}"]
        return "\n".join(lines) + "\n"

    def is_untouched(self, replies: list[dict[str, Any]]) -> bool:
        return not self.trace.exists() and SECRET not in json.dumps(replies)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "trap")


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine without any fence of the operating system around it."""
    return Engine()


def _lint(engine: Engine, made: LintWork, *, fix: bool = False) -> dict[str, Any]:
    header = {"digest": made.config_digest, "config": made.config, "fix": fix}
    return engine.lint({**header, "disable_noqa": False}, made.data)


def test_the_canaries_sing_in_plain_sqlfluff(trap: Trap):
    config = FluffConfig(
        overrides={"dialect": "ansi", "library_path": str(trap.library)},
        configs={"templater": {"jinja": {"load_macros_from_path": str(trap.macros)}}},
        ignore_local_config=True,
    )
    linted = Linter(config=config).lint_string("SELECT {{ leak() }} AS a  FROM t\n")

    assert trap.trace.exists()
    assert linted.templated_file is not None
    assert SECRET in linted.templated_file.templated_str


@pytest.mark.parametrize(
    "name", [".sqlfluff", "setup.cfg", "tox.ini", "pep8.ini", "pyproject.toml", "a/b/.sqlfluff"]
)
def test_configuration_files_cannot_spring_the_trap(trap: Trap, engine: Engine, name: str):
    content = trap.toml() if name.endswith(".toml") else trap.ini()
    tree = ConfigTree({name: content}, overrides={"dialect": "ansi"})
    config = tree.effective("a/b/x.sql")
    reply = _lint(engine, work(SQL, config), fix=True)

    assert trap.is_untouched([reply])
    assert len(tree.refused) == sum(map(len, trap.keys().values()))
    assert str(trap.library) not in json.dumps(config.document)


def test_submitters_file_and_command_line_cannot_spring_the_trap(trap: Trap, engine: Engine):
    tree = ConfigTree(
        {},
        overrides={"dialect": "ansi", "library_path": str(trap.library), "templater": "dbt"},
        extra=("mine.cfg", trap.ini()),
        base=[("home", trap.ini())],
    )
    reply = _lint(engine, work(SQL, tree.effective("x.sql")))

    assert trap.is_untouched([reply])
    assert tree.refused


def test_inline_lines_cannot_spring_the_trap(trap: Trap, engine: Engine):
    reply = _lint(engine, work(trap.inline() + SQL))

    assert trap.is_untouched([reply])
    refused = [line for line in reply["result"]["warnings"] if "is not honoured" in line]
    assert len(refused) == 2 * sum(map(len, trap.keys().values()))


@pytest.mark.parametrize(
    "told",
    [
        {"core": {"library_path": "/x"}},
        {"templater": {"jinja": {"library_path": "/x"}}},
        {"templater": {"jinja": {"loader_search_path": "/x"}}},
        {"templater": {"jinja": {"load_macros_from_path": "/x"}}},
        {"templater": {"dbt": {"project_dir": "/x"}}},
    ],
)
def test_key_that_slipped_through_the_allow_list_is_refused_at_the_end(
    trap: Trap, engine: Engine, told: dict[str, Any]
):
    layers = [{"name": ".sqlfluff", "values": told}]
    document = {"root": layers, "file": layers, "overrides": {"dialect": "ansi"}}
    reply = _lint(engine, LintWork("x.sql", SQL.encode(), document, str(told)))

    assert reply["reason"] == Reason.BAD_CONFIG
    assert "not honoured" in reply["message"]


TOML = b"""
[tool.sqlfluff.core]
dialect = "ansi"
[tool.sqlfluff.templater.jinja.context]
names = ["a"]
[tool.sqlfluff.templater.jinja.context.more]
key = "b"
"""


def test_template_cannot_change_what_other_files_are_given(engine: Engine):
    config = ConfigTree({"pyproject.toml": TOML}).effective("x.sql")
    asking = work("{% for n in names[1:] %}select {{ n }}{% endfor %}{{ more.evil }}\n", config)
    first = _lint(engine, asking)
    hostile = "{% do names.append('x') %}{% do more.update({'evil': 'select  2'}) %}SELECT 1\n"
    assert _lint(engine, work(hostile, config))["reason"] is None

    assert _lint(engine, asking) == first
