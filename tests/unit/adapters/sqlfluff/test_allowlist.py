"""Which keys an untrusted archive may set."""

import pytest

from pipeline.adapters.sqlfluff.allowlist import Verdict, judge

HOSTILE = [
    (("core", "library_path"), "/lib"),
    (("core", "Library_Path"), "/lib"),
    (("core", "extra_config_path"), "/etc/x"),
    (("templater", "jinja", "library_path"), "/lib"),
    (("templater", "jinja", "loader_search_path"), "/etc"),
    (("templater", "jinja", "load_macros_from_path"), "/etc"),
    (("templater", "jinja", "exclude_macros_from_path"), "/etc"),
    (("templater", "jinja", "macros", "a_path"), "{% macro a() %}{% endmacro %}"),
    (("templater", "python", "context", "data_dir"), "/etc"),
    (("templater", "placeholder", "some_path"), "/etc"),
    (("templater", "dbt", "project_dir"), "."),
    (("templater", "dbt", "profile"), "x"),
    (("templater", "jinja", "extensions"), "os.system"),
    (("core", "templater"), "dbt"),
    (("core", "templater"), "evil_plugin"),
    (("core", "templater"), None),
    (("core", "max_parse_depth"), 0),
    (("core", "max_parse_depth"), 601),
    (("core", "max_parse_nodes"), 0),
    (("core", "max_parse_nodes"), 10**9),
    (("core", "runaway_limit"), 11),
    (("core", "render_variant_limit"), 1000),
    (("core", "recursion_limit"), 10**6),
    (("core", "large_file_skip_byte_limit"), 1),
    (("core", "large_file_skip_char_limit"), 20000),
    (("core", "use_rust_parser"), False),
    (("core", "use_rust_rules"), True),
    (("core", "encoding"), "rot13"),
    (("core", "encoding"), "unicode_escape"),
    (("core", "encoding"), "undefined"),
    (("core", "encoding"), "../../etc"),
    (("core", "dialect"), "../evil"),
    (("core", "dialect"), 5),
    (("core", "max_line_length"), "long"),
    (("core", "max_line_length"), True),
    (("core", "rules"), 7),
    (("core", "no_such_key"), 1),
    (("indentation", "tab_space_size"), 10**9),
    (("rules", "convention.blocked_words", "blocked_regex"), "(a+)+$"),
    (("rules", "ignore_words_regex"), "(a|a)*b"),
    (("rules", "capitalisation.keywords", "crawl_behaviour"), "x"),
    (("rules", "capitalisation.keywords", "__class__"), "x"),
    (("rules", "no.such_rule", "force_enable"), True),
    (("templater", "placeholder", "param_regex"), "(a+)+$"),
    (("templater", "jinja", "context"), 5),
    (("templater", "jinja", "apply_dbt_builtins"), "yes"),
    (("layout", "type", "comma", "code"), "x"),
    (("layout", "elsewhere", "comma", "spacing_before"), "x"),
    (("plugins", "load"), "x"),
]  # fmt: skip

HARMLESS = [
    (("core", "dialect"), "postgres"),
    (("core", "dialect"), None),
    (("core", "templater"), "python"),
    (("core", "rules"), "LT01,CP01"),
    (("core", "rules"), ["LT01", "CP01"]),
    (("core", "exclude_rules"), None),
    (("core", "max_line_length"), 120),
    (("core", "max_line_length"), 0),
    (("core", "encoding"), "gb18030"),
    (("core", "render_variant_limit"), 1),
    (("indentation", "tab_space_size"), 2),
    (("indentation", "template_blocks_indent"), "force"),
    (("layout", "type", "comma", "line_position"), "leading"),
    (("rules", "allow_scalar"), False),
    (("rules", "capitalisation.keywords", "ignore_words"), True),
    (("rules", "capitalisation.keywords", "ignore_words_regex"), "^(my_|your_).*$"),
    (("rules", "aliasing.length", "max_alias_length"), 30),
    (("rules", "max_line_length"), 100),
    (("rules", "L003", "hanging_indents"), True),
    (("templater", "unwrap_wrapped_queries"), False),
    (("templater", "jinja", "context", "library_path"), "my own data"),
    (("templater", "jinja", "context", "a", "b"), [1, {"c": 2}]),
    (("templater", "jinja", "macros", "a"), "{% macro a() %}1{% endmacro %}"),
    (("templater", "jinja", "variable_start_string"), "<<"),
    (("templater", "python", "context", "a"), "1"),
    (("templater", "placeholder", "param_style"), "colon"),
    (("templater", "placeholder", "param_regex"), r":(?P<param_name>\w+)"),
    (("templater", "placeholder", "my_param"), 5),
]


@pytest.mark.parametrize(("path", "value"), HOSTILE, ids=lambda part: repr(part)[:60])
def test_key_that_could_do_harm_is_refused_with_a_reason(path: tuple[str, ...], value: object):
    verdict = judge(path, value)

    assert isinstance(verdict, str)
    assert verdict


@pytest.mark.parametrize(("path", "value"), HARMLESS, ids=lambda part: repr(part)[:60])
def test_key_that_only_tunes_linting_is_honoured(path: tuple[str, ...], value: object):
    assert judge(path, value) is Verdict.HONOUR


@pytest.mark.parametrize("key", ["processes", "nocolor", "verbose", "output_line_length"])
def test_key_of_the_command_output_has_no_effect_and_no_warning(key: str):
    assert judge(("core", key), 1) is Verdict.NO_EFFECT


def test_saying_again_what_the_platform_decides_is_no_fault():
    assert judge(("core", "large_file_skip_byte_limit"), 0) is Verdict.NO_EFFECT
    assert judge(("core", "use_rust_parser"), "auto") is Verdict.NO_EFFECT
