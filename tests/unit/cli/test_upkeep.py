"""Upkeep, backup and restore at the command line."""

import json
from pathlib import Path

import pytest

from pipeline.core.backup.folder import Folder
from tests.unit.cli.conftest import Quayline


def test_chores_are_listed_with_their_queues(quayline: Quayline) -> None:
    told = quayline("upkeep")
    assert told.exit_code == 0
    lines = [line.split()[:2] for line in told.stdout.splitlines()]
    assert lines[0] == ["NAME", "QUEUE"]
    assert ["cleanup_old_data", "cleanup"] in lines
    assert ["cleanup_configs", "docker_management"] in lines
    names = [each["name"] for each in json.loads(quayline("upkeep", "--json").stdout)]
    assert names == [name for name, _ in lines[1:]]


def test_counts_of_a_chore_are_printed_a_line_each(quayline: Quayline) -> None:
    told = quayline("upkeep", "daily_cleanup", "--dry-run")
    assert told.exit_code == 0
    assert "old data: jobs: 0" in told.stdout.splitlines()
    document = json.loads(quayline("upkeep", "daily_cleanup", "--json").stdout)
    assert document["task_resources"]["orphan_files"] == 0


def test_chore_that_is_not_there_is_refused(quayline: Quayline) -> None:
    told = quayline("upkeep", "cleanup_old_configs")
    assert told.exit_code == 2
    assert "Is cleanup_configs meant?" in told.stderr


def test_health_is_kept_and_doctor_shows_it(
    quayline: Quayline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "health of" not in quayline("doctor").stdout
    assert quayline("upkeep", "check_health").stdout.splitlines()[0] == "ok: 4"
    shown = quayline("doctor").stdout
    assert "health of storage:" in shown
    assert "Looked at 0 s ago." in shown
    monkeypatch.setattr("pipeline.cli.checks.OLD_HEALTH_S", -1.0)
    told = {each["name"]: each for each in json.loads(quayline("doctor", "--json").stdout)}
    assert told["health of queues"]["mark"] == "warning"
    assert told["health of queues"]["message"].endswith("Do a scheduler and workers run?")


def test_first_administrator_comes_from_the_setting(
    quayline: Quayline, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = quayline("upkeep", "initialize_users")
    assert told.exit_code == 2
    assert "quayline token create --role admin" in told.stderr
    secret = "qlt_" + "a" * 40
    monkeypatch.setenv("QUAYLINE_ADMIN_TOKEN", secret)
    for created in (1, 0):
        shown = quayline("upkeep", "initialize_users").stdout.splitlines()
        assert shown == ["admin tokens: 1", f"created: {created}"]
    assert secret not in quayline("settings").stdout


def test_backup_and_restore_by_hand(
    quayline: Quayline, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = tmp_path / "backups"
    assert quayline("lint", ".", "--dialect", "ansi").exit_code == 1
    assert "rows bytes: 0" in quayline("backup", backups, "--dry-run").stdout
    assert not backups.exists()
    told = quayline("backup", backups)
    assert told.exit_code == 0, told.stderr
    [name] = Folder(backups).names()
    assert f"name: {name}" in told.stdout.splitlines()
    refused = quayline("restore", backups)
    assert refused.exit_code == 2
    assert "--replace" in refused.stderr
    monkeypatch.setenv("QUAYLINE_STATE_DIR", str(tmp_path / "elsewhere"))
    assert "copied: 0" in quayline("restore", backups, "--dry-run").stdout.splitlines()
    assert quayline("restore", backups, "--name", name).exit_code == 0
    assert "3/3" in quayline("jobs").stdout
    assert quayline("fsck").exit_code == 0
    assert quayline("restore", backups, "--replace").exit_code == 0


def test_lost_blob_is_told_and_ends_with_one(
    quayline: Quayline, here: Path, environment: Path, tmp_path: Path
) -> None:
    quayline("lint", ".", "--dialect", "ansi")
    for path in (environment / "blobs" / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
    told = quayline("backup", tmp_path / "backups")
    assert told.exit_code == 1
    assert "lost: sha256/" in told.stdout
    assert "fsck" in told.stderr
