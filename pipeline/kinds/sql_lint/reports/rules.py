"""What is known about a rule without loading SQLFluff: its name and where its text stands."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

# Codes that stand for a step before the rules; SQLFluff gives them no name.
STEPS = {"PRS": "parsing error", "LXR": "lexing error", "TMP": "templating error"}
RULES_PAGE = "https://docs.sqlfluff.com/en/stable/reference/rules.html"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as reports name it."""

    code: str
    name: str

    @classmethod
    def of(cls, violation: dict[str, Any]) -> "Rule":
        """Return the rule that the violation names."""
        return cls._known(str(violation.get("code") or "?"), str(violation.get("name") or ""))

    @classmethod
    @lru_cache(maxsize=1024)
    def _known(cls, code: str, name: str) -> "Rule":
        return cls(code, name or STEPS.get(code, ""))

    @property
    def help_uri(self) -> str:
        """Where SQLFluff explains the rule; the steps before the rules have the page only."""
        if self.code in STEPS:
            return RULES_PAGE
        return f"{RULES_PAGE}#rule-{quote(self.code, safe='')}"
