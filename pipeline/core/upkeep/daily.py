"""The daily cleanup: rows that were kept long enough, then the files that were theirs."""

from dataclasses import dataclass, field

from pipeline.core.context import Context
from pipeline.core.storage_check import Rubbish
from pipeline.core.upkeep.chore import Chore
from pipeline.core.upkeep.retention import Removed, clean_old_data
from pipeline.core.upkeep.rubbish import clean_resources


@dataclass(slots=True)
class Daily:
    """What both did."""

    old_data: Removed = field(default_factory=Removed)
    task_resources: Rubbish = field(default_factory=Rubbish)


def clean_daily(context: Context, dry_run: bool = False) -> Daily:
    """Do both."""
    return Daily(clean_old_data(context, dry_run), clean_resources(context, dry_run))


CHORE = Chore(
    "daily_cleanup",
    "cleanup",
    "Do cleanup_old_data, then cleanup_task_resources.",
    clean_daily,
)
