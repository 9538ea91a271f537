"""The figures of each day, made shortly after it, or by hand for a day that is named."""

from datetime import date

from pipeline.core.context import Context
from pipeline.core.statistics import Generated, Part, generate
from pipeline.core.upkeep.chore import Chore


def generate_statistics(
    context: Context, dry_run: bool = False, day: date | None = None
) -> Generated:
    """Write what the machine did on that day, or on the last days; a dry run only counts."""
    return generate(Part.SYSTEM, context, day, dry_run=dry_run)


def generate_access_statistics(
    context: Context, dry_run: bool = False, day: date | None = None
) -> Generated:
    """Write how the API was asked on that day, or on the last days; a dry run only counts."""
    return generate(Part.ACCESS, context, day, dry_run=dry_run)


SYSTEM_CHORE = Chore(
    "generate_statistics",
    "statistics",
    "Count jobs, tasks, times and results of the last days, or of one (--day).",
    generate_statistics,
    takes_day=True,
)
ACCESS_CHORE = Chore(
    "generate_access_statistics",
    "statistics",
    "Count requests to the API of the last days, or of one (--day).",
    generate_access_statistics,
    takes_day=True,
)
