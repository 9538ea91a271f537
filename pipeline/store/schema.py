"""Brings the open database to the schema of this version."""

from pathlib import Path

import peewee

from pipeline.store import database

MIGRATIONS = Path(__file__).parent / "migrations"


def pending() -> list[str]:
    """Return the names of the migrations that the open database has not seen, oldest first."""
    known = sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))
    with database.session():
        if not database.proxy.obj.table_exists("migratehistory"):
            return known
        done = {name for (name,) in database.execute("SELECT name FROM migratehistory")}
    return [name for name in known if name not in done]


def migrate() -> list[str]:
    """Run the missing migrations, each once however many processes start together."""
    if not pending():
        return []
    from peewee_migrate import Router

    with database.transaction():
        database.lock("migrate")
        router = Router(database.proxy.obj, migrate_dir=MIGRATIONS)
        return list(router.run())


def version() -> str:
    """Return the name of the newest migration in the open database, ``""`` when it is empty."""
    try:
        with database.session():
            rows = database.execute("SELECT name FROM migratehistory ORDER BY name DESC LIMIT 1")
    except peewee.DatabaseError:
        return ""
    return str(rows[0][0]) if rows else ""
