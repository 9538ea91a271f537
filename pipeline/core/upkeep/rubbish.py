"""Removes stored files that no row needs, and files of writers that are gone."""

from pipeline.core import storage_check
from pipeline.core.context import Context
from pipeline.core.storage_check import Rubbish
from pipeline.core.upkeep.chore import Chore


def clean_resources(context: Context, dry_run: bool = False) -> Rubbish:
    """Remove them; what is young is left alone."""
    return storage_check.clean(context.blobs, remove=not dry_run)


CHORE = Chore(
    "cleanup_task_resources",
    "cleanup",
    "Remove stored files that no row needs, and files of writers that are gone.",
    clean_resources,
)
