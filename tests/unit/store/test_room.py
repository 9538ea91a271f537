"""Room to work: a full or read-only disk is told before anything waits for it in vain."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import StorageUnavailable
from pipeline.settings import Settings
from pipeline.store.room import LEAST_BYTES, check_room


def disk(monkeypatch: pytest.MonkeyPatch, free_bytes: int, flags: int = 0) -> None:
    """Let every disk look like this one."""
    told = SimpleNamespace(f_bavail=free_bytes, f_frsize=1, f_flag=flags)
    monkeypatch.setattr(os, "statvfs", lambda _: told)


def test_disk_with_room_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk(monkeypatch, LEAST_BYTES)
    check_room([tmp_path])


def test_full_disk_is_told_by_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk(monkeypatch, LEAST_BYTES - 1)
    with pytest.raises(StorageUnavailable, match=f"{tmp_path} is full"):
        check_room([tmp_path])


def test_read_only_disk_is_told_by_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk(monkeypatch, 2 * LEAST_BYTES, os.ST_RDONLY)
    with pytest.raises(StorageUnavailable, match=f"{tmp_path} is read-only"):
        check_room([tmp_path])


def test_folder_that_is_not_there_is_somebody_elses_error(tmp_path: Path) -> None:
    check_room([tmp_path / "none"])


def test_only_folders_of_this_machine_are_looked_at(tmp_path: Path) -> None:
    assert Settings(state_dir=tmp_path).folders == [tmp_path, tmp_path / "blobs"]
    elsewhere = Settings(
        state_dir=tmp_path, database_url="postgresql://x/y", storage_url="s3://bucket"
    )
    assert elsewhere.folders == []
