"""Settings: read once from the environment, closed, and embedded when nothing is said."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("QUAYLINE_")]:
        monkeypatch.delenv(name)


def test_nothing_said_is_the_embedded_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    settings = Settings()
    assert settings.embedded
    assert settings.state_dir == Path("/var/state/quayline")
    assert settings.database == "sqlite:////var/state/quayline/quayline.db"
    assert settings.storage == "/var/state/quayline/blobs"


def test_variables_are_read_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://db/quayline")
    monkeypatch.setenv("QUAYLINE_BROKER_URL", "amqp://mq/")
    monkeypatch.setenv("QUAYLINE_LEASE_S", "1.5")
    monkeypatch.setenv("quayline_max_attempts", "7")
    settings = Settings()
    assert settings.database == "postgresql://db/quayline"
    assert (settings.embedded, settings.lease_s, settings.max_attempts) == (False, 1.5, 7)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAYLINE_MAX_ATTEMPTS", "7")
    assert Settings(max_attempts=2).max_attempts == 2


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="no_such_setting"):
        Settings.model_validate({"no_such_setting": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("LEASE_S", "0"), ("MAX_ATTEMPTS", "0"), ("MAX_ATTEMPTS", "21"), ("BATCH_TASKS", "0")),
        *(("BATCH_TASKS", "1001"), ("SWEEP_S", "0"), ("SWEEP_S", "soon"), ("WINDOW", "-1")),
        *(("QUEUE_TYPE", "stream"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")),
        *(("THREADS", "0"), ("BACKOFF_S", "-1"), ("LINT_MEMORY_LIMIT_BYTES", "1024")),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"QUAYLINE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_settings_do_not_change() -> None:
    settings = Settings()
    for name in Settings.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize(
    ("told", "batches"),
    [
        ({"threads": 4}, 5),
        ({"threads": 4, "window": 3}, 3),
        ({"threads": 4, "broker_url": "amqp://mq/"}, None),
        ({"broker_url": "amqp://mq/", "window": 30}, 30),
    ],
)
def test_batches_in_flight_follow_the_threads_only_when_embedded(
    told: dict[str, str | int], batches: int | None
) -> None:
    assert Settings.model_validate(told).batches_in_flight == batches


def test_the_state_folder_does_not_follow_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/ann")
    assert Settings(state_dir=Path("here")).state_dir == tmp_path / "here"
    assert Settings(state_dir=Path("~/state")).state_dir == Path("/ann/state")


def test_the_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    first = get_settings()
    monkeypatch.setenv("QUAYLINE_LEASE_S", "5")
    try:
        assert get_settings() is first
    finally:
        get_settings.cache_clear()


def test_every_setting_says_what_it_is_and_numbers_say_their_unit() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if field.annotation is float:
            assert re.search(r"_s$", name), name
