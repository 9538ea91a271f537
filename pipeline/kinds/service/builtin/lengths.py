"""How long a document is to be, as people say it: 5000字, 2000 words, 3 pages."""

import re
from dataclasses import dataclass

from pipeline.kinds.service.calls import Rejected

#: No document is longer, in words or characters.
MOST = 50_000
#: Words of a page.
PAGE = 500
#: A section has about so many.
SECTION = 600

_LENGTH = re.compile(r"\s*(?:about|around|约|大约)?\s*([0-9][0-9,._ ]*)\s*([^\W\d]*)\s*\.?\s*")
_UNITS = {
    **dict.fromkeys(("", "word", "words", "词", "个词"), ("words", 1)),
    **dict.fromkeys(("字", "个字", "字符", "character", "characters", "chars"), ("characters", 1)),
    **dict.fromkeys(("page", "pages", "页"), ("words", PAGE)),
}


@dataclass(frozen=True, slots=True)
class Length:
    """So many ``words`` or ``characters``."""

    amount: int
    unit: str

    @property
    def sections(self) -> int:
        """Into how many sections that goes."""
        return min(20, max(2, round(self.amount / SECTION)))

    def part(self, of: int) -> str:
        """Return one of so many parts of it, in words."""
        return f"{max(50, round(self.amount / of))} {self.unit}"


def length_of(told: int | str) -> Length:
    """Return the length; ``Rejected`` for what says none."""
    found = _LENGTH.fullmatch(str(told)[:100])
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise Rejected(f"{str(told)[:100]!r} is no length: say 5000字, 2000 words or 3 pages.")
    amount = int(re.sub(r"[,._ ]", "", found[1])) * unit[1]
    if not 50 <= amount <= MOST:
        raise Rejected(f"A document has 50 to {MOST:,} words or characters.")
    return Length(amount, unit[0])
