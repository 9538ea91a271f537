"""How long what has ended is kept, as the setting QUAYLINE_RETENTION_DAYS tells it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

DAY_S = 86_400.0
#: A hundred years: more is a slip.
MOST_DAYS = 36_500.0

#: What the entry for all others is called.
OTHERS = "*"


@dataclass(frozen=True, slots=True)
class Retention:
    """Days by name; 0 keeps for ever."""

    days: Mapping[str, float]

    def seconds(
        self, name: str, *, only_named: bool = False, most_days: float = MOST_DAYS
    ) -> float | None:
        """Return the seconds that what has this name is kept; None: for ever.

        ``only_named``: the entry for all others does not mean it; ``most_days``: nor any more than
        so many days of it.
        """
        others = 0.0 if only_named else min(most_days, self.days.get(OTHERS, 0.0))
        days = self.days.get(name, others)
        return days * DAY_S if days else None


def read(told: str) -> Retention:
    """Return what the text says: a number, or a JSON object of numbers by name.

    Raises ``ValueError`` with a sentence.
    """
    try:
        document = json.loads(told)
    except (ValueError, RecursionError):
        document = None
    by_name = document if isinstance(document, dict) else {OTHERS: document}
    if not all(_is_days(days) for days in by_name.values()):
        raise ValueError(
            f"It is neither a number of days from 0 to {MOST_DAYS:.0f} nor a JSON object of them by"
            ' kind, as {"sql_lint": 30, "*": 90}'
        )
    return Retention({str(name): float(days) for name, days in by_name.items()})


def _is_days(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= MOST_DAYS
