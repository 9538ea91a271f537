"""The rules that SQLFluff has, as its own catalogue describes them.

Loads SQLFluff at the first call, which takes about a second.
"""

import inspect
import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. ``fixes``: ``sqlfluff fix`` can mend what it finds; ``more``: how its makers explain
    it, in reStructuredText."""

    code: str
    name: str
    description: str
    groups: tuple[str, ...]
    fixes: bool
    more: str


@cache
def rules() -> dict[str, Rule]:
    """Return the rules by code, and by the older codes that they had.

    ``ImportError`` where SQLFluff is not installed.
    """
    from sqlfluff.core.rules import get_ruleset

    found = {}
    for code, manifest in get_ruleset()._register.items():
        more = inspect.cleandoc(manifest.rule_class.__doc__ or "").partition("\n")[2].strip()
        rule = Rule(
            code=code,
            name=manifest.name,
            description=manifest.description,
            groups=tuple(each for each in manifest.groups if each != "all"),
            fixes=bool(manifest.rule_class.is_fix_compatible),
            more=_plain(more),
        )
        found.update(dict.fromkeys((code, *manifest.aliases), rule))
    return found


#: Paragraphs of an explanation that say again what stands beside it.
_REPEATED = re.compile(
    r"\*\*(Name|Alias(es)?|Groups|Configuration)\*\*|This rule is ``sqlfluff fix``"
)
_MARKS = re.compile(r":[a-z:]+:`([^`<]*?)(?: ?<[^>]*>)?`")


def _plain(text: str) -> str:
    """Return the text without what is for a page of SQLFluff's own."""
    paragraphs = re.split(r"\n\s*\n", text)
    kept = [each.strip("\n") for each in paragraphs if not _REPEATED.match(each.strip())]
    return _MARKS.sub(r"\1", "\n\n".join(each for each in kept if each.strip()))
