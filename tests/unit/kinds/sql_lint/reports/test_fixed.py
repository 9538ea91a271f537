"""Fixed files: only what changed, under its own path and in its own encoding."""

import io
import zipfile

import pytest

from tests.unit.kinds.sql_lint.reports import kit


def entries_of(*files):
    archive = zipfile.ZipFile(io.BytesIO(kit.written("fixed", kit.report(files))))
    assert archive.testzip() is None
    return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_only_changed_files_are_written():
    found = entries_of(
        kit.linted("a/x.sql", fixed="SELECT 1\n", diff="@@"),
        kit.linted("b/x.sql", fixed="SELECT 2\r\n", diff="@@"),
        kit.linted("same.sql"),
        kit.linted("unchanged.sql", fixed="SELECT 3\n", diff=""),
        kit.failed("slow.sql"),
    )
    assert found == {"a/x.sql": b"SELECT 1\n", "b/x.sql": b"SELECT 2\r\n"}


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "SELECT '数据'".encode()),
        ("utf-8-sig", b"\xef\xbb\xbf" + "SELECT '数据'".encode()),
        ("gb18030", "SELECT '数据'".encode("gb18030")),
        ("utf-16", "SELECT '数据'".encode("utf-16")),
        ("latin-1", "SELECT '数据'".encode()),
        ("no such encoding", "SELECT '数据'".encode()),
    ],
)
def test_file_keeps_its_encoding_if_that_can_hold_it(encoding, expected):
    found = entries_of(kit.linted("数据.sql", fixed="SELECT '数据'", encoding=encoding))
    assert found == {"数据.sql": expected}


@pytest.mark.parametrize(
    "path", ["../a.sql", "/a.sql", "a/../b.sql", "C:/a.sql", "a\\b.sql", "a//b"]
)
def test_path_that_leaves_its_folder_is_not_written(path):
    assert entries_of(kit.linted(path, fixed="SELECT 1")) == {}


def test_empty_job_is_an_empty_zip():
    assert entries_of() == {}
