"""Which patterns of an untrusted configuration are run."""

import pytest

from pipeline.adapters.sqlfluff.regexes import MAX_PATTERN_CHARS, why_unsafe


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*b",
        "(?:a+){10}b",
        "((a?b)*c)*",
        "(a|a)*b",
        "(a|ab)*c",
        "(?:[a-z]x|b)+c",
        r"(a)\1+",
        r"(?P<x>a)(?P=x)",
        "(a)?(?(1)b|c)",
        "a*a*a*a*a*b",
        "(?:foo){e<=3}",
        r"\p{Lu}+",
        "(?R)",
        "(",
        "a" * (MAX_PATTERN_CHARS + 1),
    ],
)
def test_pattern_that_may_backtrack_for_ever_or_is_read_differently_is_refused(pattern: str):
    assert why_unsafe(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "^stg_",
        "(?i)^(tmp|temp)_.*$",
        r"^\w+_id$",
        r"\bDROP\s+TABLE\b",
        "[a-z]{2,10}",
        "a{3}",
        r"\{\{",
        "(?:x|y)+",
        "(^|[^a-z])foo",
        r":(?P<param_name>\w+)",
        r"(?<![:\w])\$\w+",
        "",
    ],
)
def test_plain_pattern_is_run(pattern: str):
    assert why_unsafe(pattern) is None
