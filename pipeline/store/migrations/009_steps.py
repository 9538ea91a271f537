"""Tasks that need others of their job: which, and how many of those are open."""

import peewee
from peewee_migrate import Migrator

NEEDS = """
    CREATE TABLE needs (
        job_id {uuid} NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        needs_seq INTEGER NOT NULL CHECK (needs_seq <> seq),
        PRIMARY KEY (job_id, seq, needs_seq)
    )
"""

COLUMNS = (
    # Of its needs that have not ended; it is not sent before there are none.
    "open_needs INTEGER NOT NULL DEFAULT 0 CHECK (open_needs >= 0)",
    # When it runs: once its needs succeeded (NULL, as for most), or once they ended in any way.
    "run_when TEXT CHECK (run_when = 'all_ended')",
    # 1: another one needs it. 2: its bad end cancels what is pending of the job. 3: both.
    "onward SMALLINT NOT NULL DEFAULT 0 CHECK (onward BETWEEN 0 AND 3)",
)
NAMES = ("open_needs", "run_when", "onward")

UNSENT = "CREATE INDEX tasks_unsent ON tasks (job_id, size_bytes) WHERE {where}"
OPEN = "finished_at IS NULL AND hinted_at IS NULL"


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Create the table, and leave what waits for its needs out of what is to be sent."""
    sqlite = isinstance(database, peewee.SqliteDatabase)
    migrator.sql(NEEDS.format(uuid="TEXT" if sqlite else "UUID"))
    for column in COLUMNS:
        migrator.sql(f"ALTER TABLE tasks ADD COLUMN {column}")
    migrator.sql("DROP INDEX tasks_unsent")
    migrator.sql(UNSENT.format(where=f"{OPEN} AND open_needs = 0"))
    migrator.sql(f"CREATE INDEX tasks_waiting ON tasks (job_id) WHERE {OPEN} AND open_needs > 0")


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Forget the needs: what waited for them is due."""
    migrator.sql("DROP INDEX tasks_waiting")
    migrator.sql("DROP INDEX tasks_unsent")
    for name in NAMES:
        migrator.sql(f"ALTER TABLE tasks DROP COLUMN {name}")
    migrator.sql(UNSENT.format(where=OPEN))
    migrator.sql("DROP TABLE needs")
