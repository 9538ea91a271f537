"""Backs rows and blobs up into the folder of QUAYLINE_BACKUP_DIR."""

from pipeline.core import backup
from pipeline.core.backup import Saved
from pipeline.core.context import Context
from pipeline.core.upkeep.chore import Chore
from pipeline.errors import Refused


def backup_data(context: Context, dry_run: bool = False) -> Saved:
    """Do as ``quayline backup`` does."""
    if context.settings.backup_dir is None:
        raise Refused("There is no folder to back up to: set QUAYLINE_BACKUP_DIR.")
    return backup.save(context, context.settings.backup_dir, dry_run=dry_run)


CHORE = Chore(
    "backup_data",
    "migration",
    "Back rows and blobs up into QUAYLINE_BACKUP_DIR (`quayline backup`).",
    backup_data,
)
