"""What was found when this deployment's health was last looked at; results by their age."""

import peewee
from peewee_migrate import Migrator

TABLE = """
    CREATE TABLE health (
        name TEXT PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('ok', 'warning', 'failed')),
        message TEXT NOT NULL,
        checked_at {time} NOT NULL,
        facts TEXT NOT NULL
    )
"""


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the table and the index."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    migrator.sql(TABLE.format(time="TEXT" if sqlite else "TIMESTAMPTZ"))
    migrator.sql("CREATE INDEX results_by_age ON results (created_at)")


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop them."""
    migrator.sql("DROP INDEX results_by_age")
    migrator.sql("DROP TABLE health")
