"""What users want to happen at certain times, what came of each of them, and who leads."""

import peewee
from peewee_migrate import Migrator

TABLES = (
    """
    CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        taken_at {time} NOT NULL,
        lease_until {time} NOT NULL
    )
    """,
    """
    CREATE TABLE schedules (
        id {uuid} PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        parameters TEXT NOT NULL,
        source TEXT,
        priority SMALLINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
        labels TEXT NOT NULL,
        deadline_s DOUBLE PRECISION CHECK (deadline_s > 0),
        cron TEXT,
        every_s DOUBLE PRECISION CHECK (every_s > 0),
        at {time},
        timezone TEXT NOT NULL,
        anchor_at {time} NOT NULL,
        enabled SMALLINT NOT NULL CHECK (enabled IN (0, 1)),
        catch_up TEXT NOT NULL CHECK (catch_up IN ('skip', 'once', 'all')),
        overlap TEXT NOT NULL CHECK (overlap IN ('allow', 'skip', 'cancel_previous')),
        created_at {time} NOT NULL,
        next_fire_at {time},
        last_fire_at {time},
        CONSTRAINT one_trigger CHECK (
            CASE WHEN cron IS NULL THEN 0 ELSE 1 END + CASE WHEN every_s IS NULL THEN 0 ELSE 1 END
            + CASE WHEN at IS NULL THEN 0 ELSE 1 END = 1
        ),
        CONSTRAINT disabled_never_fires CHECK (enabled = 1 OR next_fire_at IS NULL)
    )
    """,
    "CREATE INDEX schedules_due ON schedules (next_fire_at) WHERE next_fire_at IS NOT NULL",
    # The key is what no two schedulers can write twice. Jobs go before their fires do.
    """
    CREATE TABLE schedule_fires (
        schedule_id {uuid} NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
        fire_time {time} NOT NULL,
        fired_at {time} NOT NULL,
        actor TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (
            outcome IN ('submitted', 'skipped_overlap', 'skipped_catch_up', 'refused')
        ),
        job_id {uuid},
        message TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (schedule_id, fire_time),
        CONSTRAINT submitted_has_job CHECK ((outcome = 'submitted') = (job_id IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX schedule_fires_job ON schedule_fires (job_id) WHERE job_id IS NOT NULL",
    "CREATE INDEX schedule_fires_age ON schedule_fires (fire_time)",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the tables."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {"uuid": "TEXT" if sqlite else "UUID", "time": "TEXT" if sqlite else "TIMESTAMPTZ"}
    for statement in TABLES:
        migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop them."""
    for table in ("schedule_fires", "schedules", "leases"):
        migrator.sql(f"DROP TABLE {table}")
