"""Named job descriptions with variables, in versions that are never changed."""

import peewee
from peewee_migrate import Migrator

TABLES = (
    # The last constraint is what no two makers can both get.
    """
    CREATE TABLE templates (
        id {uuid} PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        parameters TEXT NOT NULL,
        variables TEXT NOT NULL,
        source TEXT,
        priority SMALLINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
        labels TEXT NOT NULL,
        deadline_s DOUBLE PRECISION CHECK (deadline_s > 0),
        description TEXT NOT NULL DEFAULT '',
        created_at {time} NOT NULL,
        retired_at {time},
        UNIQUE (name, version)
    )
    """,
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the table."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    for statement in TABLES:
        migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop it."""
    migrator.sql("DROP TABLE templates")
