"""PostgreSQL looks once for a set of new tasks whether their job is there, not for each of them.

A foreign key is checked row by row: a third of what it costs to insert tasks. What it promises
stays: a task has a job, which nobody removes while tasks of it are inserted, and goes with it.
SQLite keeps its foreign key, which costs it next to nothing.
"""

import peewee
from peewee_migrate import Migrator

STATEMENTS = (
    "ALTER TABLE tasks DROP CONSTRAINT tasks_job_id_fkey",
    # The lock is that of a foreign key; several in the order of the ids.
    """
    CREATE FUNCTION quayline_tasks_have_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        wanted uuid;
    BEGIN
        FOR wanted IN SELECT DISTINCT job_id FROM added ORDER BY job_id LOOP
            PERFORM 1 FROM jobs WHERE id = wanted FOR KEY SHARE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'there is no job %% for new tasks', wanted
                    USING ERRCODE = 'foreign_key_violation';
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER tasks_have_jobs AFTER INSERT ON tasks REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION quayline_tasks_have_jobs()",
    # One after the other, each by the index: of many at once PostgreSQL would read all tasks.
    """
    CREATE FUNCTION quayline_tasks_go_with_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        gone uuid;
    BEGIN
        FOR gone IN SELECT id FROM removed ORDER BY id LOOP
            DELETE FROM tasks WHERE job_id = gone;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER tasks_go_with_jobs AFTER DELETE ON jobs REFERENCING OLD TABLE AS removed"
    " FOR EACH STATEMENT EXECUTE FUNCTION quayline_tasks_go_with_jobs()",
)


def migrate(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Let two triggers do what the foreign key did."""
    if not isinstance(database, peewee.SqliteDatabase):
        for statement in STATEMENTS:
            migrator.sql(statement)


def rollback(migrator: Migrator, database: peewee.Database, *, fake: bool = False) -> None:
    """Let the foreign key do it again."""
    if isinstance(database, peewee.SqliteDatabase):
        return
    migrator.sql("DROP TRIGGER tasks_go_with_jobs ON jobs")
    migrator.sql("DROP TRIGGER tasks_have_jobs ON tasks")
    migrator.sql("DROP FUNCTION quayline_tasks_go_with_jobs")
    migrator.sql("DROP FUNCTION quayline_tasks_have_jobs")
    migrator.sql(
        "ALTER TABLE tasks ADD CONSTRAINT tasks_job_id_fkey FOREIGN KEY (job_id)"
        " REFERENCES jobs (id) ON DELETE CASCADE"
    )
