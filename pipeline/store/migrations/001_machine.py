"""Jobs, tasks, events and results, with the state table as constraints."""

import peewee
from peewee_migrate import Migrator

JOB_OPEN = "('pending', 'running')"
JOB_ENDED = "('succeeded', 'partial', 'failed', 'timed_out', 'cancelled')"
TASK_ENDED = "('succeeded', 'failed', 'timed_out', 'cancelled')"

TABLES = (
    """
    CREATE TABLE jobs (
        id {uuid} PRIMARY KEY,
        kind TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'partial',
                                             'failed', 'timed_out', 'cancelled')),
        reason TEXT,
        message TEXT NOT NULL DEFAULT '',
        stage TEXT NOT NULL DEFAULT '',
        priority SMALLINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
        owner TEXT NOT NULL,
        labels TEXT NOT NULL,
        idempotency_key TEXT,
        request_digest TEXT NOT NULL,
        parameters TEXT NOT NULL,
        source TEXT,
        result TEXT,
        total INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
        failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
        timed_out INTEGER NOT NULL DEFAULT 0 CHECK (timed_out >= 0),
        cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
        reused INTEGER NOT NULL DEFAULT 0 CHECK (reused BETWEEN 0 AND succeeded),
        attempt SMALLINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),
        worker TEXT,
        lease_until {time},
        not_before {time} NOT NULL,
        hinted_at {time},
        created_at {time} NOT NULL,
        started_at {time},
        planned_at {time},
        deadline_at {time},
        cancel_requested_at {time},
        finished_at {time},
        finalized_at {time},
        CONSTRAINT counters_within_total
            CHECK (succeeded + failed + timed_out + cancelled <= total),
        CONSTRAINT ended_has_end CHECK ((state IN {job_ended}) = (finished_at IS NOT NULL)),
        CONSTRAINT ended_has_all
            CHECK (state IN {job_open} OR succeeded + failed + timed_out + cancelled = total),
        CONSTRAINT finalized_has_ended CHECK (finalized_at IS NULL OR finished_at IS NOT NULL),
        CONSTRAINT lease_has_worker CHECK ((lease_until IS NULL) = (worker IS NULL)),
        CONSTRAINT failed_has_reason CHECK (state <> 'failed' OR reason IS NOT NULL)
    )
    """,
    "CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner, idempotency_key)"
    " WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX jobs_open ON jobs (kind, priority) WHERE state IN ('pending', 'running')",
    "CREATE INDEX jobs_unfinalized ON jobs (finished_at)"
    " WHERE finished_at IS NOT NULL AND finalized_at IS NULL",
    """
    CREATE TABLE tasks (
        id {uuid} PRIMARY KEY,
        job_id {uuid} NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'failed',
                                             'timed_out', 'cancelled')),
        reason TEXT,
        message TEXT NOT NULL DEFAULT '',
        size_bytes BIGINT NOT NULL DEFAULT 0,
        payload TEXT NOT NULL,
        result_key TEXT,
        attempt SMALLINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),
        strikes SMALLINT NOT NULL DEFAULT 0 CHECK (strikes BETWEEN 0 AND attempt),
        worker TEXT,
        lease_until {time},
        not_before {time} NOT NULL,
        hinted_at {time},
        batch {uuid},
        started_at {time},
        finished_at {time},
        CONSTRAINT hint_has_batch CHECK ((hinted_at IS NULL) = (batch IS NULL)),
        CONSTRAINT one_place UNIQUE (job_id, seq),
        CONSTRAINT task_ended_has_end CHECK ((state IN {task_ended}) = (finished_at IS NOT NULL)),
        CONSTRAINT running_has_lease CHECK (
            (state = 'running') = (lease_until IS NOT NULL)
            AND (state = 'running') = (worker IS NOT NULL)),
        CONSTRAINT task_failed_has_reason CHECK (state <> 'failed' OR reason IS NOT NULL)
    )
    """,
    "CREATE INDEX tasks_unsent ON tasks (job_id, size_bytes)"
    " WHERE state = 'pending' AND hinted_at IS NULL",
    "CREATE INDEX tasks_in_flight ON tasks (job_id, batch)"
    " WHERE state IN ('pending', 'running') AND hinted_at IS NOT NULL",
    """
    CREATE TABLE events (
        id {serial},
        job_id {uuid} NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        at {time} NOT NULL,
        actor TEXT NOT NULL,
        subject TEXT NOT NULL CHECK (subject IN ('job', 'tasks')),
        from_state TEXT,
        to_state TEXT NOT NULL,
        reason TEXT,
        message TEXT NOT NULL DEFAULT '',
        tasks TEXT
    )
    """,
    "CREATE INDEX events_of_job ON events (job_id, id)",
    """
    CREATE TABLE results (
        key TEXT PRIMARY KEY,
        body {blob} NOT NULL,
        counts TEXT NOT NULL,
        created_at {time} NOT NULL
    )
    """,
)

# What CHECK cannot see, the row before: ended is ended, and running comes from pending only.
POSTGRES_TRIGGERS = (
    """
    CREATE FUNCTION quayline_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'illegal move of %% %%: %% -> %%',
            TG_TABLE_NAME, OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END $$
    """,
    "CREATE TRIGGER tasks_move BEFORE UPDATE OF state ON tasks FOR EACH ROW"
    " WHEN (OLD.state IN {task_ended} AND NEW.state <> OLD.state)"
    " EXECUTE FUNCTION quayline_refuse_move()",
    "CREATE TRIGGER jobs_move BEFORE UPDATE OF state ON jobs FOR EACH ROW"
    " WHEN ((OLD.state IN {job_ended} AND NEW.state <> OLD.state)"
    " OR (OLD.state = 'running' AND NEW.state = 'pending'))"
    " EXECUTE FUNCTION quayline_refuse_move()",
)
SQLITE_TRIGGERS = (
    "CREATE TRIGGER tasks_move BEFORE UPDATE OF state ON tasks"
    " WHEN OLD.state IN {task_ended} AND NEW.state <> OLD.state"
    " BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: illegal move of a task'); END",
    "CREATE TRIGGER jobs_move BEFORE UPDATE OF state ON jobs"
    " WHEN (OLD.state IN {job_ended} AND NEW.state <> OLD.state)"
    " OR (OLD.state = 'running' AND NEW.state = 'pending')"
    " BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: illegal move of a job'); END",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the tables."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    words = {
        "uuid": "TEXT" if sqlite else "UUID",
        "time": "TEXT" if sqlite else "TIMESTAMPTZ",
        "blob": "BLOB" if sqlite else "BYTEA",
        "serial": "INTEGER PRIMARY KEY AUTOINCREMENT" if sqlite else "BIGSERIAL PRIMARY KEY",
        "job_open": JOB_OPEN,
        "job_ended": JOB_ENDED,
        "task_ended": TASK_ENDED,
    }
    for statement in TABLES + (SQLITE_TRIGGERS if sqlite else POSTGRES_TRIGGERS):
        migrator.sql(statement.format(**words))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Drop the tables."""
    for table in ("results", "events", "tasks", "jobs"):
        migrator.sql(f"DROP TABLE {table}")
    if not isinstance(database, peewee.SqliteDatabase):
        migrator.sql("DROP FUNCTION quayline_refuse_move")
