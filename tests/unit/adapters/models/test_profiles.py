"""Profiles of model endpoints, from the setting and from their makers' variables."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.models import chosen, profiles
from pipeline.errors import Permanent
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "XAI_API_KEY", "VERTEX_PROJECT_ID", "VERTEX_LOCATION"):
        monkeypatch.delenv(name, raising=False)


def test_variables_of_their_makers_bring_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert profiles("") == {}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("XAI_API_KEY", "xai-2")
    monkeypatch.setenv("VERTEX_PROJECT_ID", "ours")
    monkeypatch.setenv("VERTEX_LOCATION", "europe-west4")
    found = profiles("")
    assert list(found) == ["openai", "xai", "vertex"]
    assert found["openai"].base_url == "https://api.openai.com/v1"
    assert found["openai"].key.get_secret_value() == "sk-1"
    assert found["openai"].max_tokens_name == "max_completion_tokens"
    assert found["xai"].base_url == "https://api.x.ai/v1"
    assert found["vertex"].auth == "google"
    assert found["vertex"].base_url == (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/ours/locations/europe-west4"
        "/endpoints/openapi"
    )
    monkeypatch.delenv("VERTEX_LOCATION")
    assert "//aiplatform.googleapis.com/v1/projects/ours/locations/global/" in (
        profiles("")["vertex"].base_url
    )


def test_setting_goes_before_them_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    told = json.dumps({"b": {"base_url": "http://b/v1"}, "openai": {"base_url": "http://proxy/v1"}})
    assert list(profiles(told)) == ["b", "openai"]
    assert profiles(told)["openai"].base_url == "http://proxy/v1"
    assert chosen("", told)[0] == "b"
    assert chosen("openai", told)[0] == "openai"


def test_setting_may_name_a_file(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"a": {"base_url": "http://a/v1"}}')
    assert list(profiles(f"@{path}")) == ["a"]
    with pytest.raises(Permanent, match=r"QUAYLINE_MODELS cannot be used: its file cannot be read"):
        profiles(f"@{path}.none")


SECRET = "sk-very-secret"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (f'{{"a": "{SECRET}', "it is no JSON"),
        (f'"{SECRET}"', "Input should be a valid dictionary"),
        ({"a": {"key": SECRET}}, "a.base_url: Field required"),
        ({"a": {"base_url": "ftp://h", "key": SECRET}}, "begins with http"),
        ({"a": {"base_url": f"http://u:{SECRET}@h"}}, "holds no password"),
        ({"a": {"base_url": "http://h", "more": SECRET}}, "Extra inputs"),
        ({"a": {"base_url": "http://h", "key": [SECRET]}}, "a.key: Input should be a valid string"),
    ],
)
def test_setting_that_cannot_be_used_is_told_without_its_secrets(told: Any, why: str) -> None:
    with pytest.raises(Permanent) as caught:
        profiles(told if isinstance(told, str) else json.dumps(told))
    assert why in caught.value.message
    assert SECRET not in caught.value.message
    assert caught.value.message.startswith("The setting QUAYLINE_MODELS cannot be used: ")


def test_who_has_none_is_told_how_to_get_one() -> None:
    with pytest.raises(Permanent, match="set QUAYLINE_MODELS, OPENAI_API_KEY, XAI_API_KEY or"):
        chosen("", "")
    with pytest.raises(Permanent, match=r"There is no profile 'x'; there are a\."):
        chosen("x", '{"a": {"base_url": "http://a/v1"}}')


def test_secrets_are_not_shown() -> None:
    told = json.dumps({"a": {"base_url": "http://a", "key": SECRET, "headers": {"X": SECRET}}})
    assert SECRET not in repr(profiles(told))
    assert SECRET not in repr(Settings(models=told))
