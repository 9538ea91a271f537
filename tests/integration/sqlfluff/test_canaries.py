"""Nothing in an archive or a SQL file runs code, reads files or calls anybody; canaries say so.

CI runs a part of the cases, ``SQL_CASES=all`` or ``python -m tests.integration.sqlfluff.measure
canaries`` all of them.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from sqlfluff.core import FluffConfig, Linter

from pipeline.adapters.sqlfluff import LintPool, LintWork
from pipeline.adapters.sqlfluff.linting import Engine
from tests.integration.sqlfluff import hostile
from tests.integration.sqlfluff.canaries import SECRET, Canaries
from tests.integration.sqlfluff.harmless import content, effective, endure
from tests.integration.sqlfluff.hostile import Hostile

STEP = 1 if os.environ.get("SQL_CASES") == "all" else 15


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine without any fence of the operating system around it, all its code loaded."""
    engine = Engine()
    aside = Canaries(Path(os.devnull).parent / "shm" / f"canaries-{os.getpid()}")
    try:
        endure([Hostile("warm", "select a  from {{ b }}\n")], aside, engine)
    finally:
        aside.close()
        subprocess.run(["rm", "-r", str(aside.folder)], check=True)
    return engine


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    made = Canaries(tmp_path / "canaries")
    yield made
    made.close()


JINJA = ("templater", "jinja")
SINGING: dict[str, Callable[[Canaries], tuple[tuple[str, ...], str, str]]] = {
    "core library": lambda c: (("core", "library_path"), str(c.library), "{{ canary }}"),
    "core package": lambda c: (("core", "library_path"), str(c.package), "{{ package }}"),
    "jinja library": lambda c: ((*JINJA, "library_path"), str(c.library), "{{ canary }}"),
    "macros": lambda c: ((*JINJA, "load_macros_from_path"), str(c.macros), "{{ leak() }}"),
    "include": lambda c: (
        *((*JINJA, "loader_search_path"), str(c.folder)),
        "{% include 'secret.sql' %}",
    ),
}


@pytest.mark.parametrize("inline", [False, True], ids=["in a file", "in the SQL"])
@pytest.mark.parametrize("name", SINGING)
def test_the_canaries_sing_in_plain_sqlfluff(canaries: Canaries, name: str, inline: bool) -> None:
    path, value, template = SINGING[name](canaries)
    told: dict[str, object] = {path[-1]: value}
    for step in reversed(path[1:-1]):
        told = {step: told}
    config = FluffConfig(
        configs={} if inline else {path[0]: told},  # type: ignore[dict-item]
        overrides={"dialect": "ansi"},
        ignore_local_config=True,
    )
    key = ":".join(path).removeprefix("core:")
    line = f"-- sqlfluff:{key}:{value}\n" if inline else ""
    with canaries.watching():
        linted = Linter(config=config).lint_string(f"{line}SELECT 1 AS a, {template} AS b\n")

    text = linted.templated_file.templated_str if linted.templated_file else ""
    assert canaries.touched(text)


def test_the_other_canaries_sing_too(canaries: Canaries) -> None:
    with canaries.watching():
        subprocess.run(["touch", canaries.marker], check=True)
        canaries.listener.getsockname()
        __import__("socket").create_connection(("127.0.0.1", canaries.port)).close()
        canaries.secret.read_text()
    sang = " ".join(canaries.touched([SECRET, os.environ["PATH"]]))
    for word in ("ran", SECRET, "environment", "listener", "Popen", "connect", "open"):
        assert word in sang, word
    assert canaries.touched([]) == []


def test_no_key_of_a_configuration_springs_a_trap(canaries: Canaries, engine: Engine) -> None:
    cases = [
        one for path, value in hostile.keys(canaries) for one in hostile.configured(path, value)
    ]
    found = endure(islice(cases, None, None, STEP), canaries, engine)
    assert found.sound, [*found.touched[:9], *found.untyped[:9]]
    assert found.cases >= 3000 // STEP, str(found)


def test_no_line_of_sql_springs_a_trap(canaries: Canaries, engine: Engine) -> None:
    cases = [one for path, value in hostile.keys(canaries) for one in hostile.inlined(path, value)]
    found = endure(islice(cases, None, None, STEP), canaries, engine)
    assert found.sound, [*found.touched[:9], *found.untyped[:9]]
    assert found.cases >= 2000 // STEP, str(found)


def test_no_template_reaches_out(canaries: Canaries, engine: Engine) -> None:
    found = endure(islice(hostile.escapes(canaries), None, None, min(STEP, 3)), canaries, engine)
    assert found.sound, [*found.touched[:9], *found.untyped[:9]]
    assert found.cases >= 400 // min(STEP, 3), str(found)


def test_no_template_reaches_out_of_a_lint_child(canaries: Canaries) -> None:
    pool = LintPool(2)
    replies = []
    try:
        for case in islice(hostile.escapes(canaries), None, None, 4):
            config, _ = effective(case)
            work = LintWork(case.id, content(case), config.document, config.digest)
            reply = pool.lint(work)
            replies.append([reply.reason, reply.message, reply.result])
    finally:
        pool.close()
    assert len(replies) > 90
    assert canaries.touched(replies) == []


def test_refused_keys_are_told_in_the_report(canaries: Canaries) -> None:
    path, value = hostile.keys(canaries)[0]
    for case in hostile.configured(path, value):
        config, refused = effective(case)
        assert value not in str(config.document), case.id
        # A name of another case, or a file that cannot be read, is no such key.
        assert refused or config.problem or " upper " in case.id or "twice" in case.id, case.id
