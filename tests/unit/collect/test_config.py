"""Which config documents are taken, and how the others are refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.collect.config import ApiConfig, CrawlerConfig, DatabaseConfig, StorageConfig
from pipeline.collect.config.document import TaskDocument, read_document
from pipeline.collect.environment import read_environment
from pipeline.collect.errors import ConfigRefused

GUIDE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "samples/guide/config.json").read_text(encoding="utf-8")
)
EXECUTION = {"TASK_EXECUTION_ID": "550e8400-e29b-41d4-a716-446655440000"}


def test_guides_document_is_taken_and_dumps_as_it_came() -> None:
    document = TaskDocument.model_validate(GUIDE)

    assert document.model_dump(mode="json", exclude_unset=True) == GUIDE


def test_secrets_survive_a_dump_and_are_in_no_repr() -> None:
    told = {
        "endpoint": "https://x/y",
        "auth": {"type": "basic", "username": "u", "password": "t0p-secret"},
        "headers": {"X-Key": {"env": "KEY"}},
    }

    config = ApiConfig.model_validate(told)

    assert config.model_dump(mode="json", exclude_unset=True) == told
    assert "t0p-secret" not in repr(config) + str(config)


@pytest.mark.parametrize(
    ("kind", "change", "place"),
    [
        (CrawlerConfig, {"max_pagse": 1}, "max_pagse"),
        (CrawlerConfig, {"target_urls": ["ftp://x/"]}, "target_urls"),
        (CrawlerConfig, {"target_urls": ["http://[x/"]}, "target_urls"),
        (CrawlerConfig, {"data_fields": {"x": {"css": "a", "xpath": "b"}}}, "data_fields"),
        (CrawlerConfig, {"data_fields": {"x": {}}}, "data_fields"),
        (CrawlerConfig, {"data_fields": ["_url"]}, "data_fields"),
        (CrawlerConfig, {"follow": {"deny": ["("]}}, "deny"),
        (CrawlerConfig, {"delay": float("inf")}, "delay"),
        (CrawlerConfig, {"delay": float("nan")}, "delay"),
        (CrawlerConfig, {"user_agent": "a\r\nX: y"}, "user_agent"),
        (StorageConfig, {"filename_prefix": "../x"}, "filename_prefix"),
        (StorageConfig, {"filename_prefix": "result"}, "filename_prefix"),
        (StorageConfig, {"output_path": "out"}, "output_path"),
        (StorageConfig, {"output_path": "/app/../etc"}, "output_path"),
        (ApiConfig, {"auth": {"type": "magic"}}, "auth"),
        (ApiConfig, {"headers": {"a b": "c"}}, "headers"),
        (ApiConfig, {"requests_per_second": 0}, "requests_per_second"),
        (DatabaseConfig, {"mode": "incremental"}, "watermark_column"),
        (DatabaseConfig, {"source": {"url": "oracle://x/y", "table": "t"}}, "url"),
        (DatabaseConfig, {"source": {"url": "sqlite:///f", "table": "t", "query": "q"}}, "source"),
        (DatabaseConfig, {"source": {"url": "sqlite:///f"}}, "source"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    kind: Any, change: dict[str, Any], place: str
) -> None:
    good: dict[Any, dict[str, Any]] = {
        CrawlerConfig: {},
        StorageConfig: {},
        ApiConfig: {"endpoint": "/x"},
        DatabaseConfig: {
            "source": {"url": "sqlite:///a", "table": "t"},
            "target": {"url": "sqlite:///b", "table": "t"},
        },
    }
    kind.model_validate(good[kind])

    with pytest.raises(ValidationError, match=place):
        kind.model_validate({**good[kind], **change})


@pytest.mark.parametrize("change", [{"task_type": "api"}, {"api_config": {"endpoint": "/x"}}])
def test_section_has_to_be_that_of_the_type(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="config"):
        TaskDocument.model_validate({**GUIDE, **change})


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
def test_file_that_is_no_document_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text)

    with pytest.raises(ConfigRefused):
        read_document(path)


def test_refusal_does_not_repeat_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    auth = {"type": "basic", "username": "u", "password": ["t0p-secret"]}
    document = {"task_name": "x", "task_type": "api", "api_config": {"endpoint": "/", "auth": auth}}
    path.write_text(json.dumps(document))

    with pytest.raises(ConfigRefused) as refusal:
        read_document(path)

    assert "api_config.auth.basic.password" in str(refusal.value)
    assert "t0p-secret" not in str(refusal.value)


def test_config_file_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GUIDE).encode())

    assert read_document(path).task_name == GUIDE["task_name"]


@pytest.mark.parametrize(
    "change",
    [
        {"TASK_EXECUTION_ID": ""},
        {"TASK_EXECUTION_ID": "7"},
        {"API_BASE_URL": "nonsense"},
        {"API_BASE_URL": "http://x:99999"},
        {"HEARTBEAT_INTERVAL_S": "nan"},
        {"HEARTBEAT_INTERVAL_S": "0"},
        {"HEARTBEAT_INTERVAL_S": "often"},
    ],
)
def test_environment_that_cannot_be_used_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ConfigRefused, match=next(iter(change))):
        read_environment({**EXECUTION, **change})


def test_environment_has_the_defaults_of_a_container() -> None:
    told = read_environment({**EXECUTION, "API_BASE_URL": "http://host:8000/t/token/"})

    assert str(told.config_path) == "/app/config.json"
    assert told.api_base_url == "http://host:8000/t/token"
    assert told.heartbeat_interval_s == 30.0
    assert told.output_dir is None
    assert told.container_name


def test_models_load_without_the_libraries_of_the_collectors() -> None:
    heavy = "httpx parsel lxml protego jsonpath pymysql psycopg tenacity pipeline.producer"
    program = (
        "import sys, pipeline.collect.config;"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert told.stdout.strip() == "[]"


def test_package_imports_nothing_else_of_the_project() -> None:
    program = (
        "import sys, pkgutil, importlib, pipeline.collect as c\n"
        "for each in pkgutil.walk_packages(c.__path__, 'pipeline.collect.'):\n"
        "    if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
        "print([name for name in sys.modules if name.startswith('pipeline.')"
        " and not name.startswith('pipeline.collect')])"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert told.stdout.strip() == "[]"
