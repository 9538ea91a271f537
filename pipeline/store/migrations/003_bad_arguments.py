"""Dead letters whose arguments their actor does not take have a reason of their own."""

import peewee
from peewee_migrate import Migrator

REASONS = "('undecodable', 'unknown_actor', 'other_form', 'failed'{more})"
COLUMNS = "id, key, queue, actor, body, reason, found_at, replayed_at"


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Let ``bad_arguments`` in."""
    _allow(migrator, database, REASONS.format(more=", 'bad_arguments'"))


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Call them ``failed`` again."""
    migrator.sql("UPDATE dead_letters SET reason = 'failed' WHERE reason = 'bad_arguments'")
    _allow(migrator, database, REASONS.format(more=""))


def _allow(migrator: Migrator, database: peewee.Database, reasons: str) -> None:
    if not isinstance(database, peewee.SqliteDatabase):
        migrator.sql(
            "ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_reason_check,"
            f" ADD CONSTRAINT dead_letters_reason_check CHECK (reason IN {reasons})"
        )
        return
    # SQLite changes no constraint of a table that is there.
    migrator.sql("ALTER TABLE dead_letters RENAME TO dead_letters_before")
    migrator.sql(
        "CREATE TABLE dead_letters (id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
        " queue TEXT NOT NULL, actor TEXT, body BLOB NOT NULL,"
        f" reason TEXT NOT NULL CHECK (reason IN {reasons}),"
        " found_at TEXT NOT NULL, replayed_at TEXT)"
    )
    migrator.sql(f"INSERT INTO dead_letters ({COLUMNS}) SELECT {COLUMNS} FROM dead_letters_before")
    migrator.sql("DROP TABLE dead_letters_before")
