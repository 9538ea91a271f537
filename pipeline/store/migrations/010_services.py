"""Calls of services: what their runs tell, what workers offer, and who has room when."""

import peewee
from peewee_migrate import Migrator

TABLES = (
    # What a task's runs tell while they go on, and what is left for the next one. It goes with
    # the task.
    """
    CREATE TABLE service_runs (
        task_id {uuid} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
        job_id {uuid} NOT NULL,
        attempt SMALLINT NOT NULL,
        progress TEXT,
        partial TEXT NOT NULL DEFAULT '',
        partial_from BIGINT NOT NULL DEFAULT 0,
        checkpoint TEXT,
        record TEXT NOT NULL,
        began_at {time} NOT NULL,
        updated_at {time} NOT NULL
    )
    """,
    "CREATE INDEX service_runs_of_job ON service_runs (job_id)",
    """
    CREATE TABLE services (
        mode TEXT NOT NULL,
        name TEXT NOT NULL,
        heavy SMALLINT NOT NULL CHECK (heavy IN (0, 1)),
        description TEXT NOT NULL,
        tasks TEXT NOT NULL,
        takes_any SMALLINT NOT NULL CHECK (takes_any IN (0, 1)),
        limits TEXT NOT NULL,
        input_schema TEXT,
        output_schema TEXT,
        seen_at {time} NOT NULL,
        PRIMARY KEY (mode, name)
    )
    """,
    # No call of the service begins before; a row is there once a rate or a pause was needed.
    """
    CREATE TABLE service_pauses (
        mode TEXT NOT NULL,
        name TEXT NOT NULL,
        next_at {time} NOT NULL,
        PRIMARY KEY (mode, name)
    )
    """,
    # One row for each call that goes on of a service with a limit of them.
    """
    CREATE TABLE service_slots (
        task_id {uuid} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
        mode TEXT NOT NULL,
        name TEXT NOT NULL,
        attempt SMALLINT NOT NULL,
        lease_until {time} NOT NULL
    )
    """,
    "CREATE INDEX service_slots_taken ON service_slots (mode, name)",
    # Tasks that were put off for want of room, the one that waits longest first.
    """
    CREATE TABLE service_waits (
        task_id {uuid} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
        mode TEXT NOT NULL,
        name TEXT NOT NULL,
        since {time} NOT NULL
    )
    """,
    "CREATE INDEX service_waits_longest ON service_waits (mode, name, since)",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the tables."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    for statement in TABLES:
        migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop them."""
    for table in ("service_waits", "service_slots", "service_pauses", "services", "service_runs"):
        migrator.sql(f"DROP TABLE {table}")
