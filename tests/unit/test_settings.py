"""Settings: read once from the environment, closed, and embedded when nothing is said."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import Refused
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


@pytest.mark.parametrize("name", ["BROKER_URL", "DATABASE_URL", "STORAGE_URL", "THREADS"])
def test_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"QUAYLINE_{name}", "")
    assert Settings().model_fields_set == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("LEASE_S", "0"), ("MAX_ATTEMPTS", "0"), ("MAX_ATTEMPTS", "21"), ("BATCH_TASKS", "0")),
        *(("BATCH_TASKS", "1001"), ("SWEEP_S", "0"), ("SWEEP_S", "soon"), ("WINDOW", "-1")),
        *(("QUEUE_TYPE", "stream"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")),
        *(("THREADS", "0"), ("BACKOFF_S", "-1"), ("LINT_MEMORY_LIMIT_BYTES", "1024")),
        *(("DATABASE_TIMEOUT_S", "inf"), ("LEASE_S", "1e308"), ("SWEEP_S", "nan")),
        *(("THREADS", "1000000"), ("WINDOW", "1000000"), ("BATCH_BYTES", "9" * 30)),
        *(("WORKER_NAME", "a\x1b[2J"), ("LINT_SUFFIXES", ".sql\n"), ("STATE_DIR", "~none-such/x")),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"QUAYLINE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("BROKER_URL", "x", "begin with amqp"),
        ("BROKER_URL", "http://h/", "begin with amqp"),
        ("BROKER_URL", "amqp://[broken", "host is malformed"),
        ("BROKER_URL", "amqp://u:hunter2@h:99999/", "port"),
        ("BROKER_URL", "amqp://u:hunter2", "port"),
        ("BROKER_URL", "amqp://u:hun/ter2@h/", "%2F"),
        ("BROKER_URL", "amqp://u:12/hunter2@h/", "%2F"),
        ("BROKER_URL", "amqp://u:hunter2%zz@h/", "%25"),
        ("BROKER_URL", "amqp://u:hunter2@h/?nonsense=1", "nonsense"),
        ("BROKER_URL", "amqp://h/?ssl_options=__import__('os')", "RabbitMQ's client"),
        ("DATABASE_URL", "mysql://h/x", "begin with postgresql"),
        ("DATABASE_URL", "postgresql:x", "begin with postgresql"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:port/x", "port"),
        ("DATABASE_URL", "postgresql://u:hunter2", "port"),
        ("DATABASE_URL", "postgresql://h:1,i:x/x", "port"),
        ("DATABASE_URL", "postgresql://u:hunter2@h/x?size=3", "size"),
        ("DATABASE_URL", "postgresql://h/x?connect_timeout=x", "connect_timeout"),
        ("DATABASE_URL", "sqlite:", "A file must follow"),
        ("DATABASE_URL", "sqlite:///:memory:", "A file must follow"),
        ("DATABASE_URL", "sqlite:////", "a file is wanted"),
        ("DATABASE_URL", "sqlite:///~none-such/x", "no such folder"),
        ("STORAGE_URL", "nosuch://x", "nosuch"),
        ("STORAGE_URL", "zip://a::b", "chain"),
        ("STORAGE_URL", "~none-such/x", "no such folder"),
    ],
)
def test_address_that_cannot_be_one_is_refused_in_a_sentence_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(f"QUAYLINE_{name}", value)
    get_settings.cache_clear()
    with pytest.raises(Refused, match=re.escape(why)) as told:
        get_settings()
    assert told.value.message.startswith(f"The setting QUAYLINE_{name} cannot be used: ")
    assert len(told.value.message.splitlines()) == 1
    for text in (told.value.message, str(told.value.__cause__)):
        assert "hunter2" not in text


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        (
            "broker_url",
            " AMQP://u:p%40@h:5672/v?heartbeat=5 ",
            "amqp://u:p%40@h:5672/v?heartbeat=5",
        ),
        ("broker_url", "memory://", "memory://"),
        ("database_url", "postgres://u:p@/x?host=/run/pg", "postgres://u:p@/x?host=/run/pg"),
        ("database_url", "postgresql://h:1,i:2/x", "postgresql://h:1,i:2/x"),
        ("database_url", "SQLITE:///x.db", "sqlite:///x.db"),
        ("broker_url", "amqp://u:p@[::1]:5672/", "amqp://u:p@[::1]:5672/"),
        ("broker_url", "amqp:///", "amqp:///"),
        ("storage_url", "s3://key:secret@bucket/x", "s3://key:secret@bucket/x"),
        ("storage_url", "relative/folder", "relative/folder"),
    ],
)
def test_address_that_can_be_used_is_kept(name: str, value: str, kept: str) -> None:
    assert getattr(Settings.model_validate({name: value}), name) == kept


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
            assert re.search(r"_(s|cpus)$", name), name
