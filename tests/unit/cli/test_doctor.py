"""``doctor`` and ``settings``: what is reachable, what is not, and no secrets."""

import json
import shutil

import pytest

from pipeline.cli import checks
from pipeline.cli.settings_table import masked
from pipeline.settings import MIB, Settings
from pipeline.store.schema import MIGRATIONS


def findings(result) -> dict[str, str]:
    return {each["name"]: each["mark"] for each in json.loads(result.stdout)}


def test_an_embedded_service_is_sound_before_its_first_job(quayline):
    result = quayline("doctor", "--json")
    assert result.exit_code == 0
    marks = findings(result)
    assert marks["database"] == marks["storage"] == marks["broker"] == marks["engine"] == "ok"


def test_doctor_changes_no_database(quayline, environment):
    quayline("doctor")
    assert not (environment / "quayline.db").exists()


def test_the_schema_is_told_once_there_is_one(quayline, here):
    quayline("submit", "a")
    newest = max(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))
    assert f"schema {newest}" in quayline("doctor").stdout


@pytest.mark.parametrize(
    ("name", "value", "finding", "mend"),
    [
        (
            "DATABASE_URL",
            "postgresql://u:secret@127.0.0.1:9/x",
            "database",
            "QUAYLINE_DATABASE_URL",
        ),
        ("BROKER_URL", "amqp://u:secret@127.0.0.1:9/x", "broker", "QUAYLINE_BROKER_URL"),
        ("STORAGE_URL", "/proc/nowhere", "storage", "QUAYLINE_STORAGE_URL"),
        ("MODELS", '{"a": {"key": "secret"}}', "models", "QUAYLINE_MODELS"),
    ],
)
def test_what_is_away_is_named_with_its_setting_and_code_2(
    quayline, monkeypatch, name, value, finding, mend
):
    monkeypatch.setenv(f"QUAYLINE_{name}", value)
    result = quayline("doctor")
    [line] = [each for each in result.stdout.splitlines() if f" {finding}:" in each]
    assert result.exit_code == 2
    assert line.startswith("✗")
    assert mend in line
    assert "secret" not in result.output
    assert findings(quayline("doctor", "--json"))[finding] == "failed"


def test_a_low_disk_is_a_warning_and_a_full_one_a_failure(tmp_path, monkeypatch):
    free = 10 * MIB
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: (0, 0, free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _usage(free))
    [disk] = checks._disk(Settings(state_dir=tmp_path / "not/there"))
    assert disk.mark is checks.Mark.BAD
    free = 500 * MIB
    [disk] = checks._disk(Settings(state_dir=tmp_path))
    assert disk.mark is checks.Mark.POOR


def _usage(free):
    return type("Usage", (), {"free": free})


def test_missing_sqlfluff_fails_only_where_this_process_lints(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_installed", lambda _name: None)
    [embedded] = checks._engine(Settings(state_dir=tmp_path))
    [producer] = checks._engine(Settings(state_dir=tmp_path, broker_url="amqp://x"))
    assert (embedded.mark, producer.mark) == (checks.Mark.BAD, checks.Mark.GOOD)


def test_every_setting_is_told_with_its_description_and_masked(quayline, monkeypatch):
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://u:secret@h/x")
    told = {each["name"]: each for each in json.loads(quayline("settings", "--json").stdout)}
    assert set(told) == {f"QUAYLINE_{name.upper()}" for name in Settings.model_fields}
    assert told["QUAYLINE_DATABASE_URL"]["value"] == "postgresql://u:***@h/x"
    assert told["QUAYLINE_DATABASE_URL"]["is_set"] is True
    assert all(each["description"] for each in told.values())
    plain = quayline("settings").stdout
    assert "secret" not in plain
    assert plain == quayline("doctor", "--settings").stdout


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("amqp://guest:guest@h:5672/v", "amqp://guest:***@h:5672/v"),
        ("amqp://:p%40x@h", "amqp://:***@h"),
        (
            "postgresql://h/x?password=p&sslmode=require",
            "postgresql://h/x?password=***&sslmode=require",
        ),
        ("s3://key:secret@bucket/x", "s3://key:***@bucket/x"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("memory://", "memory://"),
        ("/var/lib/quayline", "/var/lib/quayline"),
        ("amqp://[broken", "***"),
        ("12", "12"),
    ],
)
def test_urls_lose_their_secrets_and_nothing_else(value, shown):
    assert masked(value) == shown


def test_endpoints_of_models_are_named_and_not_asked(quayline, monkeypatch):
    monkeypatch.setenv("QUAYLINE_MODELS", '{"ours": {"base_url": "http://127.0.0.1:9/v1"}}')
    monkeypatch.setenv("XAI_API_KEY", "xai-secret")
    result = quayline("doctor")
    assert "Endpoints of models: ours, xai." in result.stdout
    assert "secret" not in result.output
    assert "secret" not in quayline("settings").output
