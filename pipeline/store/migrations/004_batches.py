"""What is in flight is found by its batch, and a claim changes no index: its row stays in place."""

import peewee
from peewee_migrate import Migrator

OPEN = "state IN ('pending', 'running')"


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Let the indexes follow the hint and the end only, and leave room in pages for claims."""
    _drop(migrator)
    migrator.sql(
        "CREATE INDEX tasks_unsent ON tasks (job_id, size_bytes)"
        " WHERE finished_at IS NULL AND hinted_at IS NULL"
    )
    migrator.sql(
        "CREATE INDEX tasks_in_flight ON tasks (job_id, batch, id)"
        " WHERE finished_at IS NULL AND hinted_at IS NOT NULL"
    )
    if not isinstance(database, peewee.SqliteDatabase):
        migrator.sql("ALTER TABLE tasks SET (fillfactor = 50)")


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Let them follow the state again."""
    _drop(migrator)
    migrator.sql(
        "CREATE INDEX tasks_unsent ON tasks (job_id, size_bytes)"
        " WHERE state = 'pending' AND hinted_at IS NULL"
    )
    migrator.sql(
        "CREATE INDEX tasks_in_flight ON tasks (job_id, batch)"
        f" WHERE {OPEN} AND hinted_at IS NOT NULL"
    )
    if not isinstance(database, peewee.SqliteDatabase):
        migrator.sql("ALTER TABLE tasks RESET (fillfactor)")


def _drop(migrator: Migrator) -> None:
    for index in ("tasks_unsent", "tasks_in_flight"):
        migrator.sql(f"DROP INDEX {index}")
