"""Brings the database to the schema of this version."""

from dataclasses import dataclass

from pipeline.core.context import Context
from pipeline.core.upkeep.chore import Chore
from pipeline.store import schema


@dataclass(slots=True)
class Migrated:
    """Migrations that were run, or are missing."""

    migrations: int = 0


def migrate_database(context: Context, dry_run: bool = False) -> Migrated:
    """Run what is missing. Whoever opens a context has done that before."""
    return Migrated(len(schema.pending() if dry_run else schema.migrate()))


CHORE = Chore(
    "migrate_database",
    "migration",
    "Bring the database to the schema of this version.",
    migrate_database,
)
