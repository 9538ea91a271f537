"""Work that goes on outside of workers, the hosts it runs on, and this deployment's own name."""

import secrets

import peewee
from peewee_migrate import Migrator

TABLES = (
    "ALTER TABLE tasks ADD COLUMN detached_at {time}",
    """
    CREATE TABLE deployment (
        id TEXT PRIMARY KEY,
        secret TEXT NOT NULL,
        listening_since {time},
        listened_at {time},
        only_one SMALLINT NOT NULL DEFAULT 1 UNIQUE CHECK (only_one = 1)
    )
    """,
    """
    CREATE TABLE hosts (
        name TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        slots INTEGER NOT NULL CHECK (slots >= 0),
        labels TEXT NOT NULL,
        draining SMALLINT NOT NULL DEFAULT 0 CHECK (draining IN (0, 1)),
        checked_at {time},
        away_since {time},
        came_back_at {time},
        error TEXT,
        facts TEXT
    )
    """,
    """
    CREATE TABLE executions (
        task_id {uuid} PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
        job_id {uuid} NOT NULL,
        attempt SMALLINT NOT NULL,
        run SMALLINT NOT NULL,
        host TEXT NOT NULL,
        container TEXT NOT NULL,
        placed_at {time} NOT NULL,
        launched_at {time},
        container_name TEXT,
        status TEXT,
        progress TEXT,
        heartbeat_at {time},
        completed_at {time},
        success SMALLINT,
        result TEXT,
        error TEXT,
        collect_until {time},
        stop_reason TEXT,
        stop_requested_at {time},
        ended_at {time},
        exit_code INTEGER,
        removed_at {time},
        CONSTRAINT stop_has_reason CHECK ((stop_requested_at IS NULL) = (stop_reason IS NULL)),
        CONSTRAINT removed_has_ended CHECK (removed_at IS NULL OR ended_at IS NOT NULL)
    )
    """,
    "CREATE INDEX executions_alive ON executions (host) WHERE removed_at IS NULL",
    "CREATE INDEX executions_of_job ON executions (job_id)",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the tables and choose the deployment's name and secret."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    for statement in TABLES:
        migrator.sql(statement.format(**words))
    migrator.sql(
        "INSERT INTO deployment (id, secret) VALUES"
        f" ('{secrets.token_hex(6)}', '{secrets.token_hex(32)}')"
    )


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop them."""
    for table in ("executions", "hosts", "deployment"):
        migrator.sql(f"DROP TABLE {table}")
    migrator.sql("ALTER TABLE tasks DROP COLUMN detached_at")
