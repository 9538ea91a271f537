"""Nothing in an archive or a SQL file runs code or reads files; canaries say so."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlfluff.core import FluffConfig, Linter

from pipeline.adapters.sqlfluff import ConfigTree, LintPool, LintWork, confinement
from pipeline.adapters.sqlfluff.linting import Engine
from tests.integration.sqlfluff.conftest import effective, work

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
    "sql",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{{ lipsum.__globals__['os'].popen('touch TRACE') }}",
        "{{ ref.__func__.__globals__ }} {{ var.__globals__ }} {{ config.__init__ }}",
        "{{ self._TemplateReference__context }}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% extends '../../etc/passwd' %}",
        "{{ ('%s' | attr('__class__')) }} {{ 'x' | attr('format') }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(ref) }}",
    ],
)
@pytest.mark.parametrize("templater", ["jinja", "python"])
def test_templates_cannot_reach_out(trap: Trap, engine: Engine, sql: str, templater: str):
    sql = sql.replace("TRACE", str(trap.trace))
    reply = _lint(engine, work(f"SELECT 1 AS  a -- {sql}\n", effective({"templater": templater})))

    assert trap.is_untouched([reply])
    told = json.dumps(reply)
    assert "root:x:" not in told
    assert os.environ["PATH"] not in told


@pytest.fixture(scope="module")
def settled() -> Iterator[tuple[LintPool, int]]:
    """A pool and the process id of a child that has linted."""
    pool = LintPool(1)
    pool.lint(work("SELECT 1\n"))
    yield pool, pool._idle[0].pid
    pool.close()


def test_child_inherits_no_settings_and_no_descriptors(
    settled: tuple[LintPool, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://user:password@host/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    pool = LintPool(1)
    try:
        pool.lint(work("SELECT 1\n"))
        process = Path(f"/proc/{pool._idle[0].pid}")
        environment = (process / "environ").read_bytes()
        descriptors = {path.name for path in (process / "fd").iterdir()}
    finally:
        pool.close()

    for name in (b"QUAYLINE_", b"AWS_", b"PG", b"password"):
        assert name not in environment
    assert descriptors >= {"0", "1", "2"}
    assert len(descriptors) == 4


def test_child_has_no_privileges(settled: tuple[LintPool, int]):
    status = Path(f"/proc/{settled[1]}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    assert fields["NoNewPrivs"] == "1"
    assert int(fields["CapEff"], 16) == 0
    if os.geteuid() == 0 and confinement.harmless_user([os.path.dirname(os.__file__)]):
        assert "0" not in fields["Uid"].split()


def test_child_may_write_no_file_and_start_no_process(settled: tuple[LintPool, int]):
    limits = Path(f"/proc/{settled[1]}/limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}

    assert rows["Max file size"] == "0"
    assert rows["Max core file size"] == "0"
    assert int(rows["Max open files"]) <= 64
    assert int(rows["Max address space"]) < 16 * 1024**3
