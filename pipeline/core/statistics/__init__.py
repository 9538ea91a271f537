"""Figures of whole days, kept as rows: counted once from what is there, and read from then on.

A day is one of the settings' time zone, from midnight to midnight, so some have 23 or 25 hours.
"""

from pipeline.core.statistics.days import named
from pipeline.core.statistics.figures import Figure, Kept, KeptDay, Part, listed
from pipeline.core.statistics.generating import Generated, generate

__all__ = ["Figure", "Generated", "Kept", "KeptDay", "Part", "generate", "listed", "named"]
