"""Every chore: rung by its actor, done by hand, counted without a change."""

import json
from dataclasses import asdict
from typing import Any

import psycopg
import pytest

from pipeline.core import api_tokens, doorbells, executions, upkeep
from pipeline.core.context import Context
from pipeline.core.upkeep.chore import Chore
from pipeline.core.upkeep.users import initialize_users
from pipeline.errors import NotFound, Refused
from pipeline.store.database import dialect, execute, proxy, session, transaction
from tests.support import factories as make

SECRET = "qlt_" + "s" * 43
#: What is rung by the scheduler, and where; README's table is the same.
QUEUES = {
    "monitor_task_execution": "monitoring",
    "check_health": "health_check",
    "cleanup_old_data": "cleanup",
    "cleanup_task_resources": "cleanup",
    "daily_cleanup": "cleanup",
    "cleanup_old_access_logs": "access_log",
    "generate_statistics": "statistics",
    "generate_access_statistics": "statistics",
    "migrate_database": "migration",
    "initialize_users": "migration",
    "update_indexes": "migration",
    "backup_data": "migration",
    "cleanup_containers": "docker_management",
    "cleanup_configs": "docker_management",
    "check_docker_hosts": "docker_management",
}


def everything(context: Context) -> dict[str, Any]:
    """Return all rows and the names and ages of all files."""
    with session():
        rows = {
            table: sorted(map(str, execute(f'SELECT * FROM "{table}"')))
            for table in proxy.obj.get_tables()
            if not table.startswith("sqlite_stat")
        }
    files = [(file.name, file.size_bytes, file.written_at) for file in context.blobs.listing()]
    return {**rows, "files": sorted(files)}


def busy(context: Context) -> Context:
    """Return the context with something to do for every chore."""
    job_id = make.planned_job(context)
    make.claimed(context, job_id)
    make.let_leases_lapse()
    make.pending_job()
    ended = make.planned_job(context, tasks=1)
    make.close(ended, make.claimed(context, ended))
    make.age_hints(3600)
    context.blobs.put(b"orphan")
    with transaction():
        execute("DELETE FROM api_tokens")
        execute(
            "INSERT INTO hosts (name, url, slots, labels) VALUES ('nowhere', %s, 1, '{}')",
            "tcp://127.0.0.1:1",
        )
        execute(
            f"UPDATE jobs SET finalized_at = finished_at, lease_until = NULL, worker = NULL,"
            f" finished_at = {dialect().later('-864000')} WHERE id = %s",
            ended.hex,
        )
    return Context(
        context.settings.model_copy(
            update={
                "retention_days": "1",
                "admin_token": type(context.settings.admin_token)(SECRET),
                "backup_dir": context.settings.state_dir / "backups",
            }
        ),
        context.blobs,
    )


@pytest.mark.parametrize("name", QUEUES)
def test_dry_run_counts_and_changes_nothing(context: Context, name: str) -> None:
    told = busy(context)
    before = everything(context)
    first, second = (asdict(upkeep.get(name).run(told, True)) for _ in range(2))
    assert first == second
    assert all(isinstance(value, (int, str, list, dict)) for value in first.values())
    assert everything(context) == before
    assert not (context.settings.state_dir / "backups").exists()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("monitor_task_execution", {"lost_tasks": 3, "planned_again": 1, "lost_hints": 0}),
        ("cleanup_old_data", {"jobs": 1, "tasks": 1}),
        ("initialize_users", {"admin_tokens": 1, "created": 1}),
    ],
)
def test_dry_run_counts_what_is_done_then(
    context: Context, name: str, wanted: dict[str, int]
) -> None:
    told = busy(context)
    for dry_run in (True, False):
        done = asdict(upkeep.get(name).run(told, dry_run))
        assert {key: done[key] for key in wanted} == wanted, f"dry run: {dry_run}"


def test_every_chore_has_an_actor_of_its_name_on_its_queue(context: Context) -> None:
    assert {chore.name: chore.queue for chore in upkeep.chores()} == QUEUES
    actors = doorbells.declared()
    assert {name: actors[name].queue_name for name in QUEUES} == QUEUES
    assert all(actors[name].options["time_limit"] < 30 * 60 * 1000 for name in QUEUES)


@pytest.mark.parametrize("name", [name for name in QUEUES if QUEUES[name] != "docker_management"])
def test_actor_does_the_chore_of_its_name(
    context: Context, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[bool] = []
    chore = upkeep.get(name)

    def run(_: Context, dry_run: bool) -> Chore:
        done.append(dry_run)
        return chore

    told = Chore(name, chore.queue, "", run)
    monkeypatch.setattr(upkeep, "chores", lambda: [told])
    doorbells.declared()[name].fn()
    assert done == [False]


def test_chore_that_is_refused_or_whose_server_is_away_ends_its_message(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    doorbells.declared()["backup_data"].fn()
    assert [record.message for record in caplog.records] == ["A chore could not be done"]


def test_unknown_chore_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(NotFound, match="Is cleanup_containers meant"):
        upkeep.get("cleanup_old_containers")


# The first administrator


def with_token(context: Context, secret: str) -> Context:
    """Return the context with that token of an administrator."""
    with transaction():
        execute("DELETE FROM api_tokens")
    told = {"admin_token": type(context.settings.admin_token)(secret)}
    return Context(context.settings.model_copy(update=told), context.blobs)


def test_first_administrator_is_made_once(context: Context) -> None:
    told = with_token(context, SECRET)
    assert asdict(initialize_users(told)) == {"admin_tokens": 1, "created": 1}
    assert asdict(initialize_users(told)) == {"admin_tokens": 1, "created": 0}
    found = api_tokens.find(SECRET)
    assert found is not None
    assert (found.role, found.owner) == ("admin", "admin")
    assert SECRET not in json.dumps(everything(context), default=str), "its digest is kept alone"


def test_token_that_was_revoked_stays_revoked(context: Context) -> None:
    told = with_token(context, SECRET)
    initialize_users(told)
    [row] = api_tokens.listed()
    api_tokens.revoke(row.id)
    with pytest.raises(Refused, match="There is no administrator"):
        initialize_users(told)
    assert api_tokens.find(SECRET) is None


@pytest.mark.parametrize("secret", ["qlt_short", "x" * 60, "qlt_" + "ü" * 40])
def test_token_that_could_be_guessed_is_refused(context: Context, secret: str) -> None:
    with pytest.raises(Refused, match="A token is qlt_"):
        initialize_users(with_token(context, secret))
    assert api_tokens.listed() == []


def test_without_any_administrator_it_is_said_how_to_make_one(context: Context) -> None:
    with pytest.raises(Refused, match="quayline token create"):
        initialize_users(with_token(context, ""))
    api_tokens.create("ann", "admin")
    told = Context(context.settings, context.blobs)
    assert initialize_users(told).admin_tokens == 1


def test_secret_is_not_shown_among_the_settings(context: Context) -> None:
    told = with_token(context, SECRET).settings
    assert SECRET not in f"{told!r} {told.admin_token}"


# Indexes


def test_indexes_are_built_anew_beside_rows(context: Context) -> None:
    job_id = make.planned_job(context)
    told = asdict(upkeep.get("update_indexes").run(context, False))
    assert told["tables"] > 8
    assert told["skipped"] == told["busy"] == 0
    assert make.recount(job_id) == {"pending": 3}
    if dialect().postgres:
        assert told["indexes"] > 15
        with session():
            rows = execute("SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'jobs'")
        assert rows[0][0] is not None
    else:
        with session():
            assert execute("SELECT 1 FROM sqlite_stat1 WHERE tbl = 'jobs'")


def test_index_of_a_killed_run_is_removed(context: Context) -> None:
    if not dialect().postgres:
        assert asdict(upkeep.get("update_indexes").run(context, False))["invalid"] == 0
        return
    for _ in range(2):
        make.pending_job()
    with (
        psycopg.connect(context.settings.database, autocommit=True) as other,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        other.execute("CREATE UNIQUE INDEX CONCURRENTLY jobs_open_ccnew ON jobs (kind)")
    assert asdict(upkeep.get("update_indexes").run(context, True))["invalid"] == 1
    assert asdict(upkeep.get("update_indexes").run(context, False))["invalid"] == 1
    with session():
        assert not execute("SELECT 1 FROM pg_class WHERE relname = 'jobs_open_ccnew'")


def test_only_one_builds_indexes(context: Context) -> None:
    if not dialect().postgres:
        return
    with transaction():
        execute("SELECT pg_advisory_xact_lock(hashtextextended('quayline:indexes', 0))")
        told = asdict(upkeep.get("update_indexes").run(context, False))
    assert (told["busy"], told["indexes"]) == (1, 0)


# Containers


def test_dry_run_counts_containers_that_are_due(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    claims = make.claimed(context, job_id)
    with transaction():
        for claim in claims:
            name = f"task-{claim.id}"
            executions.place(claim.id, job_id, claim.attempt, host="here", container=name)
    assert upkeep.get("cleanup_containers").run(context, True).containers == 0
    make.close(job_id, claims[:1])
    assert upkeep.get("cleanup_containers").run(context, True).containers == 1
