"""Builds the indexes anew and lets the database count its rows."""

from pipeline.core.context import Context
from pipeline.core.upkeep.chore import Chore
from pipeline.store import indexes
from pipeline.store.indexes import Indexed


def update_indexes(context: Context, dry_run: bool = False) -> Indexed:
    """Do so, beside work."""
    return indexes.update(context.settings.database, dry_run=dry_run)


CHORE = Chore(
    "update_indexes",
    "migration",
    "Build the indexes anew and let the database count its rows.",
    update_indexes,
)
