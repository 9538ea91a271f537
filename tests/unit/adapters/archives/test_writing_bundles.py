"""Bundles: what was given comes back, the same bytes every time, and changes do not go unseen."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from pipeline.adapters.archives import open_archive, write_bundle
from pipeline.errors import Refused, StorageUnavailable
from pipeline.states import Reason

LONG = "深/" * 60 + "x.sql"


def bundled(*files: tuple[str, Path | bytes]) -> bytes:
    out = io.BytesIO()
    write_bundle(out, files)
    return out.getvalue()


def test_a_bundle_gives_back_what_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "f.sql"
    path.write_bytes(b"select 1\n" * 20_000)
    files: list[tuple[str, Path | bytes]] = [
        ("a.sql", b"one"),
        (LONG, b""),
        ("报表.sql", b"x" * 512),
        ("f.sql", path),
    ]
    members = [(m.name, m.read()) for m in open_archive(io.BytesIO(bundled(*files)))]
    assert members == [*files[:3], ("f.sql", path.read_bytes())]


def test_a_bundle_is_a_tar_for_others() -> None:
    with tarfile.open(fileobj=io.BytesIO(bundled(("a.sql", b"one"), (LONG, b"two")))) as archive:
        assert archive.getnames() == ["a.sql", LONG]


def test_equal_files_make_equal_bytes_whatever_their_times(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_bytes(b"one")
    first = bundled(("a.sql", path))
    os.utime(path, (1, 1))
    path.chmod(0o600)
    assert bundled(("a.sql", path)) == first == bundled(("a.sql", b"one"))


def test_a_bundle_of_nothing_is_an_empty_archive() -> None:
    assert list(open_archive(io.BytesIO(bundled()))) == []


@pytest.mark.parametrize(
    "name",
    ["", "../x", "/x", "a/../x", "a\\x", "C:x", "x\n", "x\u202ey", "a//b", "\ud800", "x" * 2000],
)
def test_names_that_an_archive_may_not_have_are_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        bundled((name, b""))
    assert refusal.value.reason == Reason.UNSAFE_ENTRY
    refusal.value.message.encode()


def test_a_name_in_gbk_on_disk_becomes_text() -> None:
    name = os.fsdecode("查询.sql".encode("gbk"))
    (member,) = open_archive(io.BytesIO(bundled((name, b"one"))))
    assert member.name == "查询.sql"


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(Refused) as refusal:
        bundled(("a.sql", b""), ("./a.sql", b""))
    assert refusal.value.reason == Reason.DUPLICATE_ENTRY


def test_a_file_that_vanished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"gone\.sql cannot be read: No such file"):
        bundled(("gone.sql", tmp_path / "gone.sql"))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, make) -> None:
    make(tmp_path / "x.sql")
    with pytest.raises(Refused, match=r"x\.sql (is not a file|cannot be read: Is a directory)\."):
        bundled(("x.sql", tmp_path / "x.sql"))


@pytest.mark.parametrize("new_size", [0, 100_000, 300_000])
def test_a_file_that_changes_its_size_while_it_is_read_is_refused(
    tmp_path: Path, new_size: int
) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes(b"-" * 200_000)

    class Meddling(io.BytesIO):
        def write(self, data) -> int:
            os.truncate(path, new_size)
            return super().write(data)

    with pytest.raises(Refused, match=r"x\.sql changed while it was read"):
        write_bundle(Meddling(), [("x.sql", path)])


def test_a_full_disk_is_the_storages_fault() -> None:
    class Full(io.BytesIO):
        def write(self, data) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageUnavailable, match="No space left"):
        write_bundle(Full(), [("a.sql", b"one")])
