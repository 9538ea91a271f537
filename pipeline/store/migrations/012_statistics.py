"""Requests that were answered, and the figures of each day."""

import peewee
from peewee_migrate import Migrator

TABLES = (
    # An id begins with the time of its request, so the primary key is the order of the log.
    """
    CREATE TABLE access_log (
        id {uuid} PRIMARY KEY,
        at {time} NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        route TEXT NOT NULL,
        status_code SMALLINT NOT NULL,
        response_time_ms DOUBLE PRECISION NOT NULL CHECK (response_time_ms >= 0),
        user_id TEXT,
        resource_type TEXT,
        resource_id TEXT,
        ip_address TEXT,
        request_id TEXT NOT NULL,
        user_agent TEXT
    )
    """,
    "CREATE INDEX access_log_of_user ON access_log (user_id, id) WHERE user_id IS NOT NULL",
    """
    CREATE TABLE statistics_days (
        day TEXT NOT NULL,
        part TEXT NOT NULL CHECK (part IN ('system', 'access')),
        timezone TEXT NOT NULL,
        complete SMALLINT NOT NULL CHECK (complete IN (0, 1)),
        generated_at {time} NOT NULL,
        PRIMARY KEY (day, part)
    )
    """,
    """
    CREATE TABLE daily_figures (
        day TEXT NOT NULL,
        part TEXT NOT NULL,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        value DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (day, part, name, labels),
        FOREIGN KEY (day, part) REFERENCES statistics_days (day, part) ON DELETE CASCADE
    )
    """,
    # The jobs that ended on one day, however long they are kept.
    "CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the tables and the index."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    for statement in TABLES:
        migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop them."""
    migrator.sql("DROP INDEX jobs_by_end")
    for table in ("daily_figures", "statistics_days", "access_log"):
        migrator.sql(f"DROP TABLE {table}")
