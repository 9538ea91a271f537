"""Watches over what runs. That is the sweep's work: this is its place among the chores."""

from pipeline.core.context import Context
from pipeline.core.sweep import Swept, due, sweep
from pipeline.core.upkeep.chore import Chore


def watch(context: Context, dry_run: bool = False) -> Swept:
    """Sweep, or count what a sweep would find."""
    return due(context) if dry_run else sweep(context)


CHORE = Chore(
    "monitor_task_execution",
    "monitoring",
    "Find lost workers and hints, passed deadlines and unwritten reports (`quayline sweep`).",
    watch,
)
