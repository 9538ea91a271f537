"""What we know of SQLFluff is what this version is like; a new version shows here first."""

import pytest
from sqlfluff.core.config import removed, validate
from sqlfluff.core.plugin.host import get_plugin_manager
from sqlfluff.core.rules import get_ruleset
from sqlfluff.core.rules.config_info import get_config_info

from pipeline.adapters.sqlfluff import allowlist, config, reading, shortcuts
from pipeline.adapters.sqlfluff.allowlist import Verdict

DEFAULTS = {
    path: value
    for layer in get_plugin_manager().hook.load_default_config()
    for path, value in reading.records(layer)
}


def test_every_rule_is_known():
    ruleset = get_ruleset()
    assert {one.name for one in ruleset._register.values()} == allowlist.RULES


def test_every_option_of_rules_is_known():
    assert set(get_config_info()) == set(allowlist.RULE_OPTIONS)


def test_every_layout_key_is_known():
    assert set(validate.ALLOWABLE_LAYOUT_CONFIG_KEYS) == allowlist.LAYOUT_KEYS


@pytest.mark.parametrize("path", DEFAULTS, ids=":".join)
def test_every_default_of_sqlfluff_is_a_known_key_with_an_allowed_value(path: tuple[str, ...]):
    assert isinstance(allowlist.judge(path, DEFAULTS[path]), Verdict)


def test_default_extensions_are_sqlfluffs():
    assert DEFAULTS["core", "sql_file_exts"] == config.DEFAULT_EXTENSIONS


@pytest.mark.parametrize("key", ["runaway_limit", "render_variant_limit", "max_parse_depth"])
def test_limits_end_at_sqlfluffs_defaults(key: str):
    default = DEFAULTS["core", key]

    assert allowlist.judge(("core", key), default) is Verdict.HONOUR
    assert isinstance(allowlist.judge(("core", key), default + 1), str)


@pytest.mark.parametrize("one", removed.REMOVED_CONFIGS, ids=lambda one: ":".join(one.old_path))
def test_every_outdated_key_is_left_to_sqlfluffs_own_answer(one: removed._RemovedConfig):
    verdicts = [allowlist.judge(one.old_path, value) for value in (1, "before", True)]

    assert Verdict.HONOUR in verdicts


def test_every_function_with_a_shortcut_is_as_it_was_when_that_was_written():
    assert shortcuts.strangers() == {}
