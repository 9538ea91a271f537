"""Which ``-- sqlfluff:`` lines of a SQL file reach SQLFluff."""

import pytest

from pipeline.adapters.sqlfluff.inline import scan, split_on_colons

HOSTILE_LINES = [
    "-- sqlfluff:library_path:/lib",
    "--sqlfluff:library_path:/lib",
    "-- sqlfluff: library_path : /lib",
    "-- sqlfluff:core:library_path:/lib",
    "-- sqlfluff:templater:jinja:library_path:/lib",
    "-- sqlfluff:templater : jinja : library_path : /lib",
    "-- sqlfluff:templater:jinja:loader_search_path:/etc",
    "-- sqlfluff:templater:jinja:load_macros_from_path:/etc",
    "-- sqlfluff:templater:dbt",
    "-- sqlfluff:templater:dbt:project_dir:/x",
    "-- sqlfluff:max_parse_depth:0",
    "-- sqlfluff:large_file_skip_byte_limit:1",
    "-- sqlfluff:large_file_skip_char_limit:1",
    "-- sqlfluff:render_variant_limit:100000",
    "-- sqlfluff:rules:convention.blocked_words:blocked_regex:(a+)+$",
    "-- sqlfluff:max_line_length:many",
    "-- sqlfluff:dialect:../x",
    "-- sqlfluff:" + ":".join("a" * 100) + ":1",
    "-- sqlfluff:rules:" + "x" * 10000,
    "-- sqlfluff:disable=AM04",
    "-- sqlfluff disable=AM04",
]


@pytest.mark.parametrize("line", HOSTILE_LINES, ids=lambda line: line[:60])
@pytest.mark.parametrize("end", ["\n", "\r", "\x0c", "\u2028", ""])
def test_line_that_could_do_harm_never_reaches_sqlfluff(line: str, end: str):
    found = scan(f"SELECT 1{end or chr(10)}{line}{end}")

    assert found.honoured == []
    assert len(found.refused) == 1
    assert found.refused[0].startswith("Line 2: ")


def test_allowed_lines_are_handed_over_in_their_order():
    lines = ["-- sqlfluff:dialect:postgres", "--sqlfluff:rules:LT01,CP01", "-- sqlfluff:rules:None"]

    assert scan("\n".join(["SELECT 1", *lines, "-- a comment", ""])).honoured == lines


def test_indented_lines_are_only_comments():
    assert scan("  -- sqlfluff:library_path:/lib\n").refused == []


def test_line_without_effect_is_dropped_without_a_warning():
    found = scan("-- sqlfluff:processes:4\n")

    assert (found.honoured, found.refused) == ([], [])


def test_number_of_lines_is_bounded():
    found = scan("-- sqlfluff:rules:LT01\n" * 1000)

    assert len(found.honoured) == len(found.refused) == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", (("a",), "b")),
        ("a:b:c:d", (("a", "b", "c"), "d")),
        ("a", ((), "a")),
        ("a:b:C:\\Users", (("a", "b"), "C:\\Users")),
        ('a:b:{"k":"v"}', (("a", "b"), '{"k":"v"}')),
        ('a:b:[{"k":"v"}]', (("a", "b"), '[{"k":"v"}]')),
        ("a:b:", (("a", "b"), "")),
    ],
)
def test_lines_are_split_as_sqlfluff_splits_them(text: str, expected: tuple[tuple[str, ...], str]):
    assert split_on_colons(text) == expected
