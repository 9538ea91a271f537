"""A file that is being written is there whole or not at all, on every kind of file system."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from pipeline.store import spool
from pipeline.store.spool import PREFIX, abandoned, add, publish, remove_free, renew, spooled


@pytest.fixture(params=["nameless", "named", "no second names"], autouse=True)
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system can do."""
    if request.param != "nameless":
        monkeypatch.setattr(spool, "_open_nameless", lambda _folder: None)
    if request.param == "no second names":

        def link(*_told: object, **_more: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    return str(request.param)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_published_file_replaces_what_stood_there(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        with spooled(tmp_path) as file:
            file.write(content)
            publish(file, tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == content
        assert names(tmp_path) == {"x"}


def test_file_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    with spooled(tmp_path) as file:
        file.write(b"x")
    assert names(tmp_path) == set()


def test_added_file_replaces_nothing(tmp_path: Path, file_system: str) -> None:
    (tmp_path / "x").write_bytes(b"before")
    with spooled(tmp_path) as file:
        file.write(b"after")
        if file_system != "no second names":
            assert not add(file, tmp_path / "x")
            assert (tmp_path / "x").read_bytes() == b"before"
        assert add(file, tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"after"


def test_failed_publishing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"), spooled(tmp_path) as file:
        publish(file, tmp_path / "folder")
    assert names(tmp_path) == {"folder"}


def test_what_is_written_can_be_read_by_its_path(tmp_path: Path) -> None:
    with spooled(tmp_path) as file:
        file.write(b"content")
        assert Path(spool.readable(file)).read_bytes() == b"content"


def test_file_in_the_temporary_folder_is_found_once_its_writer_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_system: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = time.time() + 3600
    child = os.fork()
    if not child:
        spooled().__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    left = [] if file_system == "nameless" else list(names(tmp_path))
    assert [path.name for path in abandoned(tmp_path, before=before)] == left
    with spooled() as file:
        file.write(b"x")
        assert [path.name for path in abandoned(tmp_path, before=before)] == left
    assert list(abandoned(tmp_path, before=0)) == [], "it is young"


def test_file_is_removed_only_while_nobody_holds_it(tmp_path: Path) -> None:
    path, before = tmp_path / "x", time.time() + 3600
    path.write_bytes(b"x")
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_SH)
        assert not remove_free(path, before=before)
    assert not remove_free(path, before=0), "it is young"
    assert remove_free(path, before=before)
    assert not renew(path)


def test_renewed_file_is_young(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    os.utime(path, (0, 0))
    assert renew(path)
    assert not remove_free(path, before=time.time() - 60)


def test_neither_links_nor_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    for name in (f"{PREFIX}link", f"{PREFIX}folder"):
        path = tmp_path / name
        path.symlink_to("x") if "link" in name else path.mkdir()
        with pytest.raises(OSError, match=r"link|directory"):
            remove_free(path, before=time.time() + 3600)
    assert list(abandoned(tmp_path, before=time.time() + 3600)) == []


def test_temporary_folder_is_the_first_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    assert spool.temporary_folder() == tmp_path
