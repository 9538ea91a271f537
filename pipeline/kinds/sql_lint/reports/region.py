"""Where a violation stands, made safe for formats that refuse a line 0 or an end before a start."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Region:
    """Lines and columns count from 1; the end column is the first one after the violation.

    The end is None when SQLFluff does not say it (templating errors).
    """

    line: int
    column: int
    end_line: int | None
    end_column: int | None

    @classmethod
    def of(cls, violation: dict[str, Any]) -> "Region":
        """Return the violation's region; what is missing or impossible is left out."""
        line = max(1, int(violation.get("start_line_no") or 1))
        column = max(1, int(violation.get("start_line_pos") or 1))
        end_line, end_column = violation.get("end_line_no"), violation.get("end_line_pos")
        if not end_line or not end_column or (end_line, end_column) < (line, column):
            return cls(line, column, None, None)
        return cls(line, column, int(end_line), int(end_column))
