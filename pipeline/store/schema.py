"""Brings the open database to the schema of this version."""

from collections.abc import Collection
from pathlib import Path

import peewee

from pipeline.store import database

MIGRATIONS = Path(__file__).parent / "migrations"


def known() -> list[str]:
    """Return the names of the migrations of this version, oldest first."""
    return sorted(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))


def done() -> list[str]:
    """Return the names of the migrations that the open database has seen, oldest first."""
    with database.session():
        if not database.proxy.obj.table_exists("migratehistory"):
            return []
        return sorted(name for (name,) in database.execute("SELECT name FROM migratehistory"))


def pending() -> list[str]:
    """Return the names of the migrations that the open database has not seen, oldest first."""
    seen = set(done())
    return [name for name in known() if name not in seen]


def migrate() -> list[str]:
    """Run the missing migrations, each once however many processes start together."""
    if not pending():
        return []
    from peewee_migrate import Router

    with database.transaction():
        database.lock("migrate")
        router = Router(database.proxy.obj, migrate_dir=MIGRATIONS)
        return list(router.run())


def roll_back(names: Collection[str]) -> None:
    """Undo these migrations, the newest first; what only they have is lost."""
    from peewee_migrate import Router

    with database.transaction():
        database.lock("migrate")
        router = Router(database.proxy.obj, migrate_dir=MIGRATIONS)
        for name in sorted(names, reverse=True):
            router.run_one(name, router.migrator, fake=False, downgrade=True, force=True)


def version() -> str:
    """Return the name of the newest migration in the open database, ``""`` when it is empty."""
    try:
        with database.session():
            rows = database.execute("SELECT name FROM migratehistory ORDER BY name DESC LIMIT 1")
    except peewee.DatabaseError:
        return ""
    return str(rows[0][0]) if rows else ""
