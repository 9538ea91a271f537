"""A model server for each test, and built-in services that know it."""

import json
from collections.abc import Iterator

import pytest

from pipeline.settings import get_settings
from tests.support.model_server import ModelServer, model_server


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def known(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """The server, which is the only profile of this process."""
    for name in ("OPENAI_API_KEY", "XAI_API_KEY", "VERTEX_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    told = {"local": {"base_url": server.url, "key": "sk-local", "model": "small"}}
    monkeypatch.setenv("QUAYLINE_MODELS", json.dumps(told))
    get_settings.cache_clear()
    yield server
    get_settings.cache_clear()
