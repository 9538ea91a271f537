"""The configuration keys that an untrusted archive or SQL file may set, and with which values.

Everything that loads code, reads files, switches to a code-running templater or lifts a limit is
refused; so is every key that SQLFluff does not know. Values keep the type SQLFluff would see, so
that an admitted key means exactly what it means there.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias

from pipeline.adapters.sqlfluff import regexes

Path: TypeAlias = tuple[str, ...]
Check: TypeAlias = Callable[[object], str | None]


class Verdict(Enum):
    """What becomes of a key that is not refused."""

    HONOUR = "honour"  # given to SQLFluff
    TREE = "tree"  # decides which files are linted, not how
    NO_EFFECT = "no effect"  # concerns the command's own output only


# --- values ------------------------------------------------------------------------------------
def _scalar(value: object) -> str | None:
    return None if value is None or isinstance(value, str | int | float) else "needs a plain value"


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, str) else "needs a text"


def _texts(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return None
    return "needs a comma separated list"


def _words(value: object) -> str | None:
    """As ``_texts``; a lone word may look like a number or like ``true``."""
    return _scalar(value) and _texts(value)


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "needs true or false"


def _whole(lowest: int, highest: int, *, or_none: bool = False) -> Check:
    def check(value: object) -> str | None:
        if value is None and or_none:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            return "needs a whole number"
        return None if lowest <= value <= highest else f"needs {lowest} to {highest}"

    return check


def _pattern(value: object) -> str | None:
    if value is None:
        return None
    return regexes.why_unsafe(value) if isinstance(value, str) else "needs a text"


def _templater(value: object) -> str | None:
    if value in TEMPLATERS:
        return None
    return f"only {', '.join(TEMPLATERS)} are run here"


def _dialect(value: object) -> str | None:
    if value is None or (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_]{1,40}", value)):
        return None
    return "needs the name of a dialect"


def _encoding(value: object) -> str | None:
    if value == "autodetect":
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", value):
        return "needs the name of an encoding"
    try:
        codec = codecs.lookup(value)
    except (LookupError, ValueError):
        return "needs the name of an encoding"
    is_text = getattr(codec, "_is_text_encoding", False)
    return "is not a text encoding" if not is_text or codec.name in _ODD_CODECS else None


def _delimiter(value: object) -> str | None:
    return None if isinstance(value, str) and 0 < len(value) <= 50 else "needs a short text"


def _only(*allowed: object) -> Check:
    """For keys whose value is decided here: saying the same again is no fault."""

    def check(value: object) -> str | None:
        same = any(value == one and type(value) is type(one) for one in allowed)
        return None if same else "limits and parsers are set by the platform"

    return check


TEMPLATERS = ("raw", "jinja", "python", "placeholder")
_ODD_CODECS = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"})

# --- keys --------------------------------------------------------------------------------------
CORE: Mapping[str, Check] = {
    "dialect": _dialect,
    "templater": _templater,
    "rules": _texts,
    "exclude_rules": _texts,
    "ignore": _texts,
    "warnings": _texts,
    "encoding": _encoding,
    "max_line_length": _whole(-1_000_000, 1_000_000),
    "warn_unused_ignores": _scalar,
    "ignore_templated_areas": _scalar,
    "disable_noqa": _scalar,
    "disable_noqa_except": _text,
    "fix_even_unparsable": _scalar,
    "recurse": _scalar,  # outdated: SQLFluff's own error is the answer
    # Bounded by SQLFluff's defaults: higher values only lift its own fences.
    "runaway_limit": _whole(1, 10),
    "render_variant_limit": _whole(1, 5),
    "max_parse_depth": _whole(1, 600),
    "max_parse_nodes": _whole(1, 100_000),
    "recursion_limit": _whole(100, 10_000, or_none=True),
}
TREE_KEYS: Mapping[str, Check] = {"sql_file_exts": _text, "ignore_paths": _texts}
WITHOUT_EFFECT = frozenset(
    "processes nocolor color verbose output_line_length fixed_suffix disable_progress_bar "
    "large_file_skip_fail".split()
)
DECIDED_HERE: Mapping[str, Check] = {
    "large_file_skip_byte_limit": _only(0, None, 20_000),  # 20,000: its default
    "large_file_skip_char_limit": _only(0, None),
    "use_rust_parser": _only("auto"),
    "use_rust_rules": _only(False),
    "rust_parser_max_iterations": _only(0, 3_000_000),
    "rust_parser_warn_threshold": _only(0, 2_000_000),
}
INDENTATION: Mapping[str, Check] = {
    "tab_space_size": _whole(0, 1000),
    "skip_indentation_in": _texts,
    "skip_implicit_indents_in": _texts,
} | dict.fromkeys(
    "indent_unit indented_joins indented_ctes indented_using_on indented_using_on_newline "
    "indented_on_contents indented_then indented_then_contents implicit_indents "
    "allow_implicit_indents template_blocks_indent trailing_comments list_wrapping "
    "ignore_comment_lines hanging_indents".split(),
    _scalar,
)
LAYOUT_KEYS = frozenset(
    "spacing_before spacing_after spacing_within line_position align_within align_scope "
    "keyword_line_position keyword_line_position_exclusions alignment_coordinate_space".split()
)
RULE_OPTIONS: Mapping[str, Check] = (
    dict.fromkeys(
        "alias_case_check aliasing allow_scalar allow_space_in_identifier capitalisation_policy "
        "case_sensitive extended_capitalisation_policy forbid_subquery_in force_enable "
        "fully_qualify_join_types group_by_and_order_by_style ignore_comment_clauses "
        "ignore_comment_lines match_source multiline_newline prefer_count_0 prefer_count_1 "
        "prefer_quoted_identifiers prefer_quoted_keyword_style prefer_quoted_keywords "
        "preferred_first_table_in_join_clause preferred_not_equal_style "
        "preferred_quoted_literal_style preferred_type_casting_style quoted_identifiers_policy "
        "require_final_semicolon select_clause_trailing_comma single_table_references "
        "single_target_policy subqueries_ignore_external_references unquoted_identifiers_policy "
        "wildcard_policy".split(),
        _scalar,
    )
    | dict.fromkeys("additional_allowed_characters blocked_words ignore_words".split(), _words)
    | dict.fromkeys("blocked_regex ignore_words_regex".split(), _pattern)
    | dict.fromkeys(
        "max_alias_length min_alias_length maximum_empty_lines_between_batches "
        "maximum_empty_lines_between_statements maximum_empty_lines_inside_statements "
        "minimum_empty_lines_between_statements".split(),
        _whole(0, 1_000_000, or_none=True),
    )
)
RULES = frozenset(
    """
    aliasing.column aliasing.expression aliasing.forbid aliasing.length aliasing.required
    aliasing.self_alias.column aliasing.table aliasing.unique.column aliasing.unique.table
    aliasing.unused ambiguous.column_count ambiguous.column_references ambiguous.distinct
    ambiguous.join ambiguous.join_condition ambiguous.order_by ambiguous.order_by_limit
    ambiguous.set_columns ambiguous.union capitalisation.functions capitalisation.identifiers
    capitalisation.keywords capitalisation.literals capitalisation.types convention.blocked_words
    convention.casting_style convention.coalesce convention.count_rows convention.is_null
    convention.join_condition convention.last_select_star convention.left_join
    convention.not_equal convention.quoted_literals convention.select_trailing_comma
    convention.statement_brackets convention.terminator jinja.padding layout.commas
    layout.cte_bracket layout.cte_newline layout.end_of_file layout.functions layout.indent
    layout.keyword_newline layout.long_lines layout.newlines layout.operators
    layout.select_modifiers layout.select_targets layout.set_operators layout.spacing
    layout.start_of_file oracle.empty_batch postgres.excessive_locks
    postgres.not_valid_foreign_key references.consistent references.from references.keywords
    references.qualification references.quoting references.special_chars references.window_alias
    structure.column_order structure.consecutive_semicolons structure.constant_expression
    structure.distinct structure.else_null structure.join_condition_order structure.nested_case
    structure.simple_case structure.subquery structure.unused_cte structure.unused_join
    structure.using tsql.empty_batch tsql.prefer_as_alias tsql.procedure_begin_end tsql.sp_prefix
    """.split()
)
JINJA_OPTIONS: Mapping[str, Check] = {"apply_dbt_builtins": _flag} | {
    f"{kind}_{end}_string": _delimiter
    for kind in ("variable", "block", "comment")
    for end in ("start", "end")
}
# Keys of older SQLFluff versions, which it moves to their new place or refuses with advice.
OUTDATED: Mapping[Path, Check] = (
    {("rules", "max_line_length"): CORE["max_line_length"]}
    | {("rules", *rest, "tab_space_size"): INDENTATION["tab_space_size"]
       for rest in ((), ("L002",), ("L003",), ("L004",), ("L016",))}
    | dict.fromkeys(
        (
            ("rules", "indent_unit"),
            ("rules", "comma_style"),
            ("rules", "LT04", "comma_style"),
            ("rules", "LT03", "operator_new_lines"),
            ("rules", "L003", "hanging_indents"),
            ("rules", "L003", "lint_templated_tokens"),
            ("rules", "references.quoting", "force_enable"),
            ("rules", "L052", "semicolon_newline"),
            ("rules", "convention.terminator", "semicolon_newline"),
        ),
        _scalar,
    )
)  # fmt: skip
_FILE_KEYS = frozenset("load_macros_from_path loader_search_path exclude_macros_from_path".split())
READS_FILES = "it would load code or read files"
UNKNOWN = "it is not a key that is honoured here"


def judge(path: Path, value: object) -> Verdict | str:
    """A verdict for one key, or the reason why it is refused. Total: never raises."""
    if path[:3] == ("templater", "jinja", "context") and len(path) > 3:
        return Verdict.HONOUR  # the user's own data: SQLFluff gives no key in it a meaning
    key = path[-1]
    if key.lower() in _FILE_KEYS or key.lower().endswith(("_path", "_dir")):
        return READS_FILES
    if path[0] == "core" and len(path) == 2:
        if key in WITHOUT_EFFECT:
            return Verdict.NO_EFFECT
        if key in DECIDED_HERE:
            return DECIDED_HERE[key](value) or Verdict.NO_EFFECT
        if key in TREE_KEYS:
            return TREE_KEYS[key](value) or Verdict.TREE
    check = _check_for(path)
    if check is None:
        return READS_FILES if path[:2] == ("templater", "dbt") else UNKNOWN
    return check(value) or Verdict.HONOUR


def _check_for(path: Path) -> Check | None:
    if path in OUTDATED:
        return OUTDATED[path]
    match path:
        case ("core", key):
            return CORE.get(key)
        case ("indentation", key):
            return INDENTATION.get(key)
        case ("layout", "type", kind, key):
            return _text if key in LAYOUT_KEYS and re.fullmatch(r"\w{1,100}", kind) else None
        case ("rules", key):
            return RULE_OPTIONS.get(key)
        case ("rules", rule, key):
            return RULE_OPTIONS.get(key) if rule in RULES else None
        case ("templater", *rest):
            return _templater_check(tuple(rest))
    return None


def _templater_check(path: Path) -> Check | None:
    match path:
        case ("unwrap_wrapped_queries",):
            return _scalar
        case ("jinja", "macros", _):
            return _text
        case ("jinja", key):
            return JINJA_OPTIONS.get(key)
        case ("python", "context", _, *_):
            return _data
        case ("placeholder", "param_regex"):
            return _pattern
        case ("placeholder", _):
            return _scalar
    return None


def _data(value: object) -> str | None:
    return None
