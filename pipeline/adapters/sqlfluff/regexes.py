"""Says whether a pattern from an untrusted configuration is safe to run.

Safe means: it cannot backtrack for ever. The check is structural and errs on the side of refusal;
it also refuses what the third-party ``regex`` module (which SQLFluff uses) reads differently from
``re``, since the structure is read with ``re``'s own parser.
"""

import re
import warnings
from re import _constants as op
from re import _parser as parser
from typing import Any

MAX_PATTERN_CHARS = 200
MAX_REPEATS = 4
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_QUANTIFIER = re.compile(r"\{(?:\d{1,4}(?:,\d{0,4})?|,\d{1,4})\}")


class _Unsafe(Exception):
    """Raised with the reason while the tree is walked."""


def why_unsafe(pattern: str) -> str | None:
    """The reason why this pattern is refused, or None when it is safe."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"the pattern is longer than {MAX_PATTERN_CHARS} characters"
    if _has_foreign_brace(pattern):
        return "the pattern uses braces that are not a plain quantifier"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(pattern)
        repeats = _count_repeats(tree, inside_repeat=False)
    except _Unsafe as error:
        return str(error)
    except (re.error, RecursionError, OverflowError, ValueError):
        return "the pattern is not one that can be checked"
    if repeats > MAX_REPEATS:
        return f"the pattern has more than {MAX_REPEATS} repeats"
    return None


def _has_foreign_brace(pattern: str) -> bool:
    """``regex`` gives braces meanings of its own (fuzzy matches, named lists)."""
    position = 0
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 2
            continue
        if pattern[position] == "{":
            quantifier = _QUANTIFIER.match(pattern, position)
            if quantifier is None:
                return True
            position = quantifier.end()
            continue
        position += 1
    return False


def _count_repeats(tree: Any, *, inside_repeat: bool) -> int:
    return sum(_repeats_of(code, args, inside_repeat) for code, args in tree)


def _repeats_of(code: Any, args: Any, inside_repeat: bool) -> int:
    if code in _REPEATS:
        _, highest, body = args
        if highest <= 1:
            return _count_repeats(body, inside_repeat=inside_repeat)
        if inside_repeat:
            raise _Unsafe("the pattern repeats a repeat")
        return 1 + _count_repeats(body, inside_repeat=True)
    if code is op.BRANCH:
        branches = args[1]
        if inside_repeat and not _start_apart(branches):
            raise _Unsafe("the pattern repeats alternatives that may overlap")
        return sum(_count_repeats(branch, inside_repeat=inside_repeat) for branch in branches)
    if code is op.SUBPATTERN:
        return _count_repeats(args[3], inside_repeat=inside_repeat)
    if code in (op.ASSERT, op.ASSERT_NOT):
        return _count_repeats(args[1], inside_repeat=inside_repeat)
    if code is op.ATOMIC_GROUP:
        return _count_repeats(args, inside_repeat=inside_repeat)
    if code in (op.GROUPREF, op.GROUPREF_EXISTS):
        raise _Unsafe("the pattern refers back to a group")
    return 0


def _start_apart(branches: Any) -> bool:
    """Whether every alternative starts with a literal character of its own."""
    starts = [
        chr(branch[0][1]).lower() if len(branch) and branch[0][0] is op.LITERAL else None
        for branch in branches
    ]
    return None not in starts and len(set(starts)) == len(starts)
