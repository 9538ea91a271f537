"""Tokens of the HTTP side (their digests, never themselves), and the lists that it shows."""

import peewee
from peewee_migrate import Migrator


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the table, and the index of an owner's jobs."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    statement = """
        CREATE TABLE api_tokens (
            id {uuid} PRIMARY KEY,
            name TEXT NOT NULL,
            owner TEXT NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('submitter', 'operator', 'admin')),
            digest TEXT NOT NULL UNIQUE,
            created_at {time} NOT NULL,
            expires_at {time},
            revoked_at {time}
        )
    """
    migrator.sql(statement.format(**words))
    # A list of one owner's jobs reads those, not everybody's.
    migrator.sql("CREATE INDEX jobs_of_owner ON jobs (owner, id)")


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop the table and the index."""
    migrator.sql("DROP INDEX jobs_of_owner")
    migrator.sql("DROP TABLE api_tokens")
