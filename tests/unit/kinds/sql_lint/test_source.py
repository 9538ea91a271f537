"""Sources: every form becomes one archive, of the files that SQLFluff's command would lint."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlfluff.core.linter.discovery import paths_from_path

from pipeline.adapters.archives import open_archive
from pipeline.adapters.sqlfluff.config import is_config_name
from pipeline.errors import Refused
from pipeline.kinds.sql_lint.source import Source, as_stream, is_archive
from pipeline.states import Reason

SQL = b"select 1\n"


def put(root: Path, *names: str, **contents: str) -> None:
    """Write SQL files of these names, and others with their content."""
    for name in (*names, *contents):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents.get(name, SQL.decode()))


def packed(source: Source, root: Path | None = None) -> dict[str, bytes]:
    """What is in the archive that the source becomes, by name."""
    with as_stream(source, root=root) as stream, open_archive(stream.file) as archive:
        return {member.name: member.read() for member in archive}


def sql_names(source: Source, root: Path | None = None) -> list[str]:
    return sorted(name for name in packed(source, root) if not is_config_name(name))


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.sql", SQL)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.sql")
        info.size = len(SQL)
        archive.addfile(info, io.BytesIO(SQL))
    return out.getvalue()


# --- the forms ------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [zipped(), tarred(), gzip.compress(tarred())])
@pytest.mark.parametrize("name", ["upload.zip", "upload", "upload.sql"])
def test_an_archive_goes_as_it_is_whatever_its_name(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    for source in (path, str(path), [path], data, io.BytesIO(data)):
        with as_stream(source) as stream:
            assert stream.file.read() == data
        assert packed(source) == {"a.sql": SQL}


def test_a_file_becomes_an_archive_of_itself(tmp_path: Path) -> None:
    put(tmp_path, "a.sql", "b.sql")
    assert packed(tmp_path / "a.sql") == {"a.sql": SQL}
    assert packed(str(tmp_path / "a.sql")) == {"a.sql": SQL}


def test_a_folder_becomes_an_archive_of_its_sql_files_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b.sql", "a/c.sql", "a/b/深.sql", "note.txt", "dump.SQL", "x.sql.j2", "d.ddl")
    names = ["a/b/深.sql", "a/c.sql", "b.sql", "d.ddl", "dump.SQL", "x.sql.j2"]
    assert list(packed(tmp_path)) == names


def test_several_paths_become_one_archive_named_from_the_folder_above_them(tmp_path: Path) -> None:
    put(tmp_path, "one/a.sql", "two/a.sql", "two/b.sql", "three/a.sql")
    given = [tmp_path / "one", tmp_path / "two" / "a.sql"]
    assert list(packed(given)) == ["one/a.sql", "two/a.sql"]
    assert list(packed([str(path) for path in given])) == ["one/a.sql", "two/a.sql"]


def test_a_path_given_twice_or_within_another_counts_once(tmp_path: Path) -> None:
    put(tmp_path, "q/a.sql", "q/b.sql")
    given = [tmp_path / "q", tmp_path / "q", tmp_path / "q" / "a.sql"]
    assert list(packed(given)) == ["a.sql", "b.sql"]


def test_a_mapping_becomes_an_archive_in_its_order() -> None:
    files = {"z.sql": SQL, ".sqlfluff": b"[sqlfluff]\n", "a/b.sql": b""}
    assert list(packed(files).items()) == list(files.items())


def test_an_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    assert packed(tmp_path) == {}
    assert packed({}) == {}


@pytest.mark.parametrize("name", ["q.zip", "q.TAR", "q.tgz", "q.tar.gz"])
def test_a_file_called_an_archive_is_handed_on_as_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    assert is_archive(tmp_path / name)
    with as_stream(tmp_path / name) as stream:
        assert stream.file.read() == b"no archive"


def test_sql_is_no_archive(tmp_path: Path) -> None:
    for content in (b"", SQL, b"P", b"x" * 300, b"-- PK\x03\x04"):
        (tmp_path / "a.sql").write_bytes(content)
        assert not is_archive(tmp_path / "a.sql")


def test_an_archive_among_other_paths_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.sql")
    (tmp_path / "b.zip").write_bytes(zipped())
    with pytest.raises(Refused, match="submit it alone"):
        packed([tmp_path / "a.sql", tmp_path / "b.zip"])


@pytest.mark.parametrize("many", [False, True])
def test_a_missing_path_is_refused_by_name(tmp_path: Path, many: bool) -> None:
    missing = tmp_path / "no" / "such.sql"
    with pytest.raises(Refused, match=r"There is no file or folder .*no/such\.sql") as refusal:
        packed([tmp_path, missing] if many else missing)
    assert refusal.value.reason is Reason.BAD_REQUEST


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(Refused, match="nothing"):
        packed([])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sql")
    with pytest.raises(Refused, match=r"pipe\.sql"):
        packed(tmp_path / "pipe.sql")


def test_configuration_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.sql", **{".sqlfluff": ""})

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    # File modes do not hold root back, and tests may run as root.
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(Refused, match=r"\.sqlfluff cannot be read: Permission denied"):
        packed(tmp_path)


def test_the_name_is_the_given_one_or_the_paths(tmp_path: Path) -> None:
    put(tmp_path, "q/a.sql", "q/b.sql")
    (tmp_path / "up.zip").write_bytes(zipped())
    names: list[tuple[Source, str | None, str]] = [
        (tmp_path / "q", None, "q"),
        (tmp_path / "q" / "a.sql", None, "a.sql"),
        ([tmp_path / "q/a.sql", tmp_path / "q/b.sql"], None, "a.sql, b.sql"),
        (tmp_path / "up.zip", None, "up.zip"),
        (tmp_path / "up.zip", "nightly", "nightly"),
        (zipped(), None, "upload"),
        (io.BytesIO(zipped()), "night.zip", "night.zip"),
        ({"a.sql": SQL}, None, "files"),
    ]
    for source, told, name in names:
        with as_stream(source, told) as stream:
            assert stream.name == name


def test_the_working_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "queries/a.sql")
    monkeypatch.chdir(tmp_path / "queries")
    with as_stream(".") as stream:
        assert stream.name == "queries"


# --- which files ----------------------------------------------------------------------------------
CONFIG = "[sqlfluff]\ndialect = ansi\n"
TREES = {
    "plain": {},
    "ignored file": {".sqlfluffignore": "a.sql\n"},
    "ignored folder": {".sqlfluffignore": "# old\nq/old/\n"},
    "ignored by a folder's own": {"q/.sqlfluffignore": "old/\nb.sql\n"},
    "own ignore of an ignored folder": {
        ".sqlfluffignore": "q/old\n",
        "q/old/.sqlfluffignore": "!*",
    },
    "taken back": {".sqlfluffignore": "*.sql\n!a.sql\n"},
    "everywhere": {".sqlfluffignore": "**/deep/\n"},
    "rooted": {".sqlfluffignore": "/a.sql\n"},
    "ignored by configuration": {".sqlfluff": CONFIG + "ignore_paths = q/old, a.sql\n"},
    "ignored by pyproject": {
        "pyproject.toml": "[tool.sqlfluff.core]\nignore_paths = ['q/b.sql']\n"
    },
    "ignored by a folder's configuration": {"q/.sqlfluff": "[sqlfluff]\nignore_paths = old\n"},
    "other suffixes": {".sqlfluff": CONFIG + "sql_file_exts = .txt,.SQL.J2\n"},
    "other suffixes below": {"q/.sqlfluff": "[sqlfluff]\nsql_file_exts = .txt\n"},
    "all ignored": {".sqlfluffignore": "*\n"},
}
FILES = ("a.sql", "q/a.sql", "q/b.sql", "q/B.SQL", "q/old/a.sql", "q/old/deep/c.sql", "q/n.txt")
MORE = ("q/t.sql.j2", "深/数.sql", "q/.hidden/h.sql", "q/d.ddl")


@pytest.mark.parametrize("given", [".", "q", "q/old"])
@pytest.mark.parametrize("tree", TREES)
def test_a_folders_files_are_those_that_sqlfluff_finds_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: str, given: str
) -> None:
    put(tmp_path, *FILES, *MORE, **TREES[tree])
    monkeypatch.chdir(tmp_path)
    suffixes = {"other suffixes": (".txt", ".sql.j2")}.get(
        tree, (".sql", ".sql.j2", ".dml", ".ddl", ".pkb")
    )
    expected = paths_from_path(given, working_path=str(tmp_path), target_file_exts=suffixes)
    assert sql_names(given, root=tmp_path) == sorted(expected)


@pytest.mark.parametrize(
    "given", [["."], ["q"], ["q/old", "a.sql"], ["./q/../q"], ["q/b.sql"], ["深", "q/"]]
)
def test_names_are_those_that_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    put(tmp_path, *FILES, *MORE, **{".sqlfluff": CONFIG, ".sqlfluffignore": "deep/\n"})
    monkeypatch.chdir(tmp_path)
    assert sql_names(given, root=tmp_path) == printed(given, tmp_path)


def printed(given: Sequence[str], root: Path) -> list[str]:
    """The files in the answer of ``sqlfluff lint`` run in the folder."""
    command = [sys.executable, "-m", "sqlfluff", "lint", "--format", "json", "--rules", "LT12"]
    ended = subprocess.run([*command, *given], cwd=root, capture_output=True, check=True)
    return sorted(file["filepath"] for file in json.loads(ended.stdout))


def test_symbolic_links_count_as_for_sqlfluff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "q/a.sql", "elsewhere/b.sql")
    (tmp_path / "q" / "file.sql").symlink_to(tmp_path / "elsewhere" / "b.sql")
    (tmp_path / "q" / "folder").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert sql_names("q", root=tmp_path) == sorted(paths_from_path("q"))


def test_a_dangling_link_costs_itself_only(tmp_path: Path) -> None:
    put(tmp_path, "a.sql")
    (tmp_path / "b.sql").symlink_to(tmp_path / "gone.sql")
    assert sql_names(tmp_path) == ["a.sql"]


# --- the root -------------------------------------------------------------------------------------
def test_configuration_between_the_root_and_the_path_comes_along(tmp_path: Path) -> None:
    configs = {".sqlfluff": "1", "q/setup.cfg": "2", "q/r/pyproject.toml": "", "r/.sqlfluff": "3"}
    put(tmp_path / "root", "q/r/a.sql", "q/r/s/b.sql", **configs)
    put(tmp_path, **{".sqlfluff": "above"})
    taken = packed(tmp_path / "root" / "q" / "r" / "a.sql", root=tmp_path / "root")
    assert taken == {
        **{".sqlfluff": b"1", "q/setup.cfg": b"2", "q/r/pyproject.toml": b""},
        "q/r/a.sql": SQL,
    }


def test_without_a_root_a_folder_is_its_own(tmp_path: Path) -> None:
    put(tmp_path, "q/a.sql", **{".sqlfluff": "above", "q/.sqlfluff": "in"})
    assert packed(tmp_path / "q") == {".sqlfluff": b"in", "a.sql": SQL}
    assert packed(tmp_path / "q" / "a.sql") == {".sqlfluff": b"in", "a.sql": SQL}


def test_a_root_that_does_not_hold_the_paths_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, "q/a.sql", "r/b.sql", **{"r/.sqlfluff": "r"})
    assert packed(tmp_path / "q", root=tmp_path / "r") == {"a.sql": SQL}


@pytest.mark.parametrize("root", [".", None])
def test_a_path_by_way_of_the_folder_above_is_the_path_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str | None
) -> None:
    put(tmp_path, "here/q/a.sql", "here/r/b.sql", **{"here/.sqlfluff": ""})
    monkeypatch.chdir(tmp_path / "here")
    given = ["q", "../here/r"]
    told = Path(root) if root else None
    assert sql_names(given, root=told) == ["q/a.sql", "r/b.sql"]


def test_a_folder_beside_the_working_folder_is_named_from_the_folder_above_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "here/a.sql", "there/b.sql")
    monkeypatch.chdir(tmp_path / "here")
    assert sql_names([".", "../there"]) == ["here/a.sql", "there/b.sql"]
