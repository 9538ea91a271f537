"""Backups: rows of one moment and every file that they name, in a folder, and back again."""

from pipeline.core.backup.restoring import Restored, restore
from pipeline.core.backup.saving import Saved, save

__all__ = ["Restored", "Saved", "restore", "save"]
