"""A backup holds what rows name at one moment, or says what is lost; it comes back whole or not."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import jobs, storage_check
from pipeline.core.backup import Saved, restoring, save, saving
from pipeline.core.backup.folder import Folder
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.fsck import fsck
from pipeline.errors import Conflict, NotFound, Permanent, Refused
from pipeline.settings import Settings
from pipeline.store import database, schema
from pipeline.store.blobs import BlobStore, blob_name
from pipeline.store.database import dialect, execute, session
from tests.contract.test_migrations import ROWS, build, rows_of, tables
from tests.support import factories as make
from tests.support.services import own_database

#: What is not about the copying of rows is tried on one kind of database: a dump takes its time.
on_sqlite = pytest.mark.parametrize("any_database_url", ["sqlite"], indirect=True)

Target = Callable[[], Settings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    return tmp_path / "backups"


@pytest.fixture
def target(context: Context, tmp_path: Path) -> Iterator[Target]:
    """Close the context; return settings of an empty deployment on the same kind of database."""
    with ExitStack() as stack:
        places = iter(range(10))

        def settings() -> Settings:
            place = tmp_path / f"target{next(places)}"
            url = f"sqlite:///{place / 'quayline.db'}"
            if context.settings.database.startswith("postgresql"):
                url = stack.enter_context(own_database())
            close_context()
            return context.settings.model_copy(update={"state_dir": place, "database_url": url})

        yield settings
        close_context()
        database.close_database()


def restore(settings: Settings, folder: Path, **told: Any) -> restoring.Restored:
    """Put a backup back."""
    return restoring.restore(settings, folder, **told)


def filled(context: Context) -> dict[str, Any]:
    """Make jobs with blobs and files; return what is there."""
    source, pack = (context.blobs.put(text).digest for text in (b"source", b"pack" * 1000))
    open_job = make.planned_job(context, source={"blobs": [source]})
    with session():
        told = (json.dumps({"blobs": [pack]}), open_job.hex)
        execute("UPDATE tasks SET payload = %s WHERE job_id = %s", *told)
    make.close(open_job, make.claimed(context, open_job)[:1])
    with context.blobs.writing(f"jobs/{open_job}/notes.json") as out:
        out.write(b"{}")
    with context.blobs.writing("jobs/01890000-0000-7000-8000-000000000000/gone.json") as out:
        out.write(b"of a job that is gone")
    context.blobs.put(b"nobody's")
    files = {blob_name(source), blob_name(pack), f"jobs/{open_job}/notes.json"}
    return {"job": open_job, "files": files, "pack": pack, "source": source, "rows": all_rows()}


def all_rows() -> dict[str, list[str]]:
    """Return all rows but those of an earlier test's tokens."""
    return rows_of(tables())


def stored(settings: Settings) -> set[str]:
    """Return the names of what is stored."""
    return {file.name for file in BlobStore(settings.storage).listing()}


def test_all_comes_back_on_an_empty_deployment(
    context: Context, folder: Path, target: Target
) -> None:
    told = filled(context)
    dry = save(context, folder, dry_run=True)
    assert not folder.exists()
    saved = save(context, folder)
    size = 6 + 4000 + 2
    assert (dry.files, dry.bytes, dry.copied, dry.copied_bytes) == (3, size, 3, size)
    assert (saved.files, saved.bytes, saved.copied, saved.lost) == (3, size, 3, [])
    settings = target()
    checked = restore(settings, folder, dry_run=True)
    assert (checked.files, checked.copied) == (3, 0)
    assert stored(settings) == set(), "a dry run writes nothing"
    done = restore(settings, folder)
    assert asdict(done) == {
        **{"name": saved.name, "files": 3, "bytes": size, "copied": 3, "migrations": 0}
    }
    there = open_context(settings)
    assert all_rows() == told["rows"], "row for row"
    assert stored(settings) == told["files"]
    assert there.blobs.read(told["pack"]) == b"pack" * 1000
    assert fsck(there).clean
    claims = make.claimed(there, told["job"])
    assert claims == [], "what was in work is so still, until its lease lapses"
    make.let_leases_lapse()
    assert jobs.get(told["job"]).succeeded == 1


@on_sqlite
def test_second_backup_copies_only_what_is_new(context: Context, folder: Path) -> None:
    told = filled(context)
    assert save(context, folder).copied == 3
    assert save(context, folder).copied == 0
    with context.blobs.writing(f"jobs/{told['job']}/notes.json") as out:
        out.write(b'{"warnings": []}')
    make.pending_job(source={"blobs": [context.blobs.put(b"new").digest]})
    dry = save(context, folder, dry_run=True)
    saved = save(context, folder)
    assert (dry.files, dry.copied) == (saved.files, saved.copied) == (4, 2)
    assert len(Folder(folder).names()) == 3


@on_sqlite
def test_any_backup_of_the_folder_can_be_chosen(
    context: Context, folder: Path, target: Target
) -> None:
    told = filled(context)
    first = save(context, folder)
    with context.blobs.writing(f"jobs/{told['job']}/notes.json") as out:
        out.write(b"later")
    make.pending_job()
    save(context, folder)
    settings = target()
    assert restore(settings, folder, name=first.name).name == first.name
    there = open_context(settings)
    assert [job.id for job in jobs.listed()] == [told["job"]]
    with there.blobs.open_named(f"jobs/{told['job']}/notes.json") as stream:
        assert stream.read() == b"{}", "the file as it was then"
    with pytest.raises(NotFound, match="is the newest"):
        restore(settings, folder, name="20200101T000000.000Z")
    with pytest.raises(NotFound, match="There is no backup"):
        restore(settings, folder / "nowhere")


@on_sqlite
def test_only_the_newest_stay_and_what_they_need(context: Context, folder: Path) -> None:
    told = filled(context)
    save(context, folder)
    with session():
        execute("UPDATE tasks SET payload = '{}'")
    saved = save(context, folder, keep=2)
    assert saved.removed == 0
    saved = save(context, folder, keep=2)
    assert saved.removed == 1
    backups = Folder(folder)
    assert len(backups.names()) == 2
    assert not backups.blobs.exists(told["pack"])
    assert backups.blobs.exists(told["source"])
    assert len(list(folder.glob("rows-*"))) == 2


@on_sqlite
def test_damaged_manifest_is_in_no_later_backups_way(context: Context, folder: Path) -> None:
    told = filled(context)
    save(context, folder)
    manifest = next(folder.glob("backup-*.jsonl"))
    manifest.write_text(manifest.read_text()[:-40])
    with session():
        execute("UPDATE tasks SET payload = '{}'")
    saved = save(context, folder)
    assert (saved.files, saved.lost) == (2, [])
    backups = Folder(folder)
    assert backups.find(None).name == saved.name
    assert backups.blobs.exists(told["pack"]), "nobody knows whether it is needed"
    save(context, folder, keep=1)
    assert not backups.blobs.exists(told["pack"])


@on_sqlite
def test_rows_are_for_their_owner_alone(context: Context, folder: Path) -> None:
    """They hold the deployment's secret."""
    save(context, folder)
    [rows] = folder.glob("rows-*")
    assert stat.S_IMODE(rows.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["gone", "another"])
@on_sqlite
def test_blob_that_is_lost_is_told_and_the_rest_is_saved(
    context: Context, folder: Path, target: Target, damage: str
) -> None:
    told = filled(context)
    path = Path(context.settings.storage, blob_name(told["source"]))
    path.unlink() if damage == "gone" else path.write_bytes(b"rotten")
    saved = save(context, folder)
    assert saved.lost == [f"{blob_name(told['source'])} (job {told['job']})"]
    assert saved.files == 2
    settings = target()
    assert restore(settings, folder).files == 2
    found = fsck(open_context(settings))
    assert found.missing_blobs == [str(told["job"])]


@pytest.mark.parametrize("dry_run", [True, False])
@on_sqlite
def test_damaged_backup_is_refused_and_nothing_is_changed(
    context: Context, folder: Path, target: Target, dry_run: bool
) -> None:
    told = filled(context)
    save(context, folder)
    settings = target()
    [rows] = folder.glob("rows-*")
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-1] + b"?")
    with pytest.raises(Permanent, match="The rows of the backup"):
        restore(settings, folder, dry_run=dry_run)
    rows.write_bytes(whole)
    (folder / "blobs" / blob_name(told["pack"])).write_bytes(b"rotten")
    with pytest.raises(Permanent, match="is damaged"):
        restore(settings, folder, dry_run=dry_run)
    manifest = next(folder.glob("backup-*.jsonl"))
    manifest.write_text(manifest.read_text().replace("{", "[", 1))
    with pytest.raises(Permanent, match="The manifest"):
        restore(settings, folder, dry_run=dry_run)
    database.open_database(settings.database)
    assert schema.done() == []


def test_database_with_rows_is_refused_unless_they_may_go(
    context: Context, folder: Path, target: Target
) -> None:
    told = filled(context)
    save(context, folder)
    settings = target()
    there = open_context(settings)
    theirs = make.pending_job(source={"blobs": [there.blobs.put(b"theirs").digest]})
    close_context()
    with pytest.raises(Conflict, match="is not empty"):
        restore(settings, folder)
    there = open_context(settings)
    assert [job.id for job in jobs.listed()] == [theirs]
    close_context()
    restore(settings, folder, replace=True)
    there = open_context(settings)
    assert all_rows() == told["rows"]
    assert [job.id for job in jobs.listed()] == [told["job"]]
    assert fsck(there).clean, "what is theirs is young still"


@on_sqlite
def test_empty_schema_takes_a_backup(context: Context, folder: Path, target: Target) -> None:
    """A worker that was started too early has made the tables and its own secret."""
    told = filled(context)
    save(context, folder)
    settings = target()
    open_context(settings)
    close_context()
    restore(settings, folder)
    open_context(settings)
    assert all_rows() == told["rows"]


def test_backup_of_an_older_version_comes_to_this_one(
    context: Context, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of rows of a newer schema, too, whose tables refer to those that are replaced."""
    old = target()
    build(old.database, "005_executions")
    # As that version made it, which knew of no schedules and no templates.
    later = ("schedules", "templates")
    known = [each for each in storage_check._DOCUMENTS if not any(name in each for name in later)]
    monkeypatch.setattr(storage_check, "_DOCUMENTS", known)
    columns = tables()
    before = rows_of(columns)
    saved = save(Context(old, BlobStore(old.storage)), folder)
    assert saved.rows_bytes > 0
    database.close_database()
    settings = target()
    open_context(settings)
    make.pending_job()
    with session():
        execute(f"CREATE TABLE later (job_id {id_type()} REFERENCES jobs (id))")
    close_context()
    if not settings.database.startswith("sqlite"):
        with pytest.raises(Permanent, match="pg_restore failed"):
            restore(settings, folder, replace=True)
        open_context(settings)
        assert len(jobs.listed()) == 1, "it failed as a whole"
        with session():
            execute("DROP TABLE later")
        close_context()
    done = restore(settings, folder, replace=True)
    newer = [name for name in schema.known() if name > "005_executions"]
    assert done.migrations == len(newer)
    database.open_database(settings.database)
    assert rows_of(columns) == before
    assert schema.pending() == []
    assert all(before[table] for table, _ in ROWS["001_machine"])
    database.close_database()


def id_type() -> str:
    """Return the type of an id."""
    return "UUID" if dialect().postgres else "TEXT"


@on_sqlite
def test_backup_of_a_newer_version_is_refused(
    context: Context, folder: Path, target: Target
) -> None:
    with session():
        execute(
            "INSERT INTO migratehistory (name, migrated_at) VALUES ('999_later', %s)", "2026-01-01"
        )
    try:
        save(context, folder)
    finally:
        with session():
            execute("DELETE FROM migratehistory WHERE name = '999_later'")
    with pytest.raises(Refused, match="999_later is not known here"):
        restore(target(), folder)


@on_sqlite
def test_backup_of_another_kind_of_database_is_refused(
    context: Context, folder: Path, target: Target
) -> None:
    save(context, folder)
    manifest = next(folder.glob("backup-*.jsonl"))
    other = "sqlite" if dialect().postgres else "postgresql"
    text = manifest.read_text().replace(f'"database":"{dialect().name}"', f'"database":"{other}"')
    assert other in text
    manifest.write_text(text)
    with pytest.raises(Refused, match=f"The backup is of {other}"):
        restore(target(), folder)


@on_sqlite
def test_only_one_writes_to_a_folder(context: Context, folder: Path) -> None:
    with Folder(folder).locked(), pytest.raises(Conflict, match="Another backup"):
        save(context, folder)
    assert save(context, folder).files == 0


@on_sqlite
def test_folder_that_cannot_be_written_is_told(context: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be written") as told:
        save(context, tmp_path / "file" / "backups")
    assert type(told.value).__name__ == "StorageUnavailable"


@pytest.mark.parametrize("point", ["copy_ahead", "entries"])
@on_sqlite
def test_killed_in_mid_backup_leaves_those_before_and_the_next_cleans_up(
    context: Context, folder: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    filled(context)
    first = save(context, folder)
    make.pending_job(source={"blobs": [context.blobs.put(b"new").digest]})

    def killed(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving._Saving, point, killed)
        with pytest.raises(KeyboardInterrupt):
            save(context, folder)
    assert Folder(folder).names() == [first.name]
    assert Folder(folder).find(None).name == first.name
    saved = save(context, folder, keep=1)
    assert (saved.files, saved.removed) == (4, 1)
    left = {path.name for path in folder.iterdir()} - {".lock", "blobs"}
    rows = Folder(folder).find(None).rows
    assert left == {f"backup-{saved.name}.jsonl", rows}


@on_sqlite
def test_killed_in_mid_restore_is_done_again(
    context: Context, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = filled(context)
    save(context, folder)
    settings = target()

    def killed(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_put_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(settings, folder)
    assert stored(settings) == told["files"], "files come first, so that no row lacks one"
    restore(settings, folder)
    open_context(settings)
    assert all_rows() == told["rows"]


@on_sqlite
def test_blob_that_is_no_longer_needed_when_rows_are_copied_is_in_the_backup_all_the_same(
    context: Context, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleanup between the rows' moment and the copying of files takes nothing from a backup."""
    told = filled(context)
    entries = saving._Saving.entries

    def late(self: Any, frozen: Any) -> Any:
        Path(context.settings.storage, blob_name(told["pack"])).unlink()
        return entries(self, frozen)

    monkeypatch.setattr(saving._Saving, "entries", late)
    assert save(context, folder).lost == []
    assert Folder(folder).blobs.exists(told["pack"])


def test_rows_and_files_of_a_backup_are_of_one_moment(
    context: Context, folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is submitted while files are copied is in neither."""
    told = filled(context)
    entries = saving._Saving.entries

    def late(self: Any, frozen: Any) -> Any:
        make.pending_job(source={"blobs": [context.blobs.put(b"late").digest]})
        return entries(self, frozen)

    monkeypatch.setattr(saving._Saving, "entries", late)
    assert save(context, folder).files == 3
    settings = target()
    restore(settings, folder)
    there = open_context(settings)
    assert [job.id for job in jobs.listed()] == [told["job"]]
    assert fsck(there).clean


@on_sqlite
def test_backup_can_be_read_from_a_folder_that_nobody_may_write(
    context: Context, folder: Path, target: Target
) -> None:
    filled(context)
    save(context, folder)
    before = sorted(str(path) for path in folder.rglob("*"))
    settings = target()
    restore(settings, folder)
    assert sorted(str(path) for path in folder.rglob("*")) == before, "nothing is put beside it"


@on_sqlite
def test_actor_backs_up_where_the_setting_says(context: Context, folder: Path) -> None:
    from pipeline.core import upkeep

    told = replace(context, settings=context.settings.model_copy(update={"backup_dir": folder}))
    done = upkeep.get("backup_data").run(told, False)
    assert isinstance(done, Saved)
    assert Folder(folder).names() == [done.name]
    assert os.path.isfile(folder / f"backup-{done.name}.jsonl")
