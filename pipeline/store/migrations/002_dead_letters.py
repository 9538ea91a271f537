"""Messages that no worker could take, kept as rows so that none expires unseen."""

import peewee
from peewee_migrate import Migrator


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the table."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {
        "uuid": "TEXT" if sqlite else "UUID",
        "time": "TEXT" if sqlite else "TIMESTAMPTZ",
        "blob": "BLOB" if sqlite else "BYTEA",
    }
    statement = """
        CREATE TABLE dead_letters (
            id {uuid} PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            queue TEXT NOT NULL,
            actor TEXT,
            body {blob} NOT NULL,
            reason TEXT NOT NULL
                CHECK (reason IN ('undecodable', 'unknown_actor', 'other_form', 'failed')),
            found_at {time} NOT NULL,
            replayed_at {time}
        )
    """
    migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop the table."""
    migrator.sql("DROP TABLE dead_letters")
