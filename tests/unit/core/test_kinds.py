"""Kinds: found by name in their package, and never by a name that is a path or a module."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.core import kinds
from pipeline.core.kinds import Kind, get_kind
from pipeline.errors import Refused
from pipeline.kinds.service import registry
from pipeline.states import Reason


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of kinds of the test's own."""
    folder = tmp_path / "kinds_of_this_test"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(kinds, "PACKAGE", folder.name)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "No", "1st", "_private", "__init__", "no-dash", "sql_lint\n", "sql_lint "),
        *("sql_lint.spec", ".sql_lint", "..", "../x", "a/b", "os.path", "söl", "x" * 42),
    ],
)
def test_a_name_that_no_kind_may_have_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        get_kind(name)
    assert refusal.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("name", ["no_such_kind", "os", "x" * 41])
def test_an_unknown_kind_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refused, match=f"There is no kind of job named '{name}'"):
        get_kind(name)


def test_a_kind_is_found_by_its_name_and_is_one_object() -> None:
    assert get_kind("sql_lint").name == "sql_lint"
    assert get_kind("sql_lint") is get_kind("sql_lint")


def test_what_a_kind_misses_is_not_told_as_a_missing_kind(package: Path) -> None:
    (package / "needy.py").write_text("import a_library_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        get_kind("needy")


def test_a_kind_whose_work_never_ran_has_nothing_to_release(package: Path) -> None:
    (package / "idle.py").write_text("raise AssertionError('imported')\n")
    Kind("idle", f"{package.name}.idle", BaseModel, *("queue",) * 4).release()


@pytest.mark.parametrize(
    "load",
    [
        lambda: kinds.Kind("x", "tests.samples_of_none", BaseModel, "q", "a", "q", "a").work,
        lambda: registry.load(["tests.samples_of_none"]),
    ],
)
def test_code_is_imported_by_one_thread_at_a_time(load: Callable[[], object]) -> None:
    """Two that import a package from two ends at once would get half of it."""
    ended = threading.Event()

    def loaded() -> None:
        with suppress(ModuleNotFoundError):
            load()
        ended.set()

    with kinds.LOADING:
        thread = threading.Thread(target=loaded)
        thread.start()
        assert not ended.wait(0.3)
    assert ended.wait(10)
    thread.join()
