"""``quayline backup`` and ``quayline restore``: rows and blobs into a folder, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.exits import FAILED
from pipeline.cli.faults import note

Where = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the backups.")]


def backup(
    folder: Where,
    keep: Annotated[
        int, typer.Option("--keep", min=1, metavar="N", help="Backups that stay in the folder.")
    ] = 7,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be copied; write nothing.")
    ] = False,
) -> None:
    """Back rows and blobs up, beside work; what the folder has already is not copied again.

    PostgreSQL needs its own program pg_dump here, as new as the server.

    Exit code 0: all is in the backup; 1: a row names a blob that is lost, the rest is.
    """
    from pipeline.cli.clients import open_client
    from pipeline.cli.upkeep import print_counts
    from pipeline.core import backup as backups

    with open_client() as client:
        saved = backups.save(client.context, folder, keep=keep, dry_run=dry_run)
    print_counts(asdict(saved))
    if saved.lost:
        note("Rows name blobs that the storage has not; `quayline fsck` tells the jobs.")
        raise typer.Exit(FAILED)


def restore(
    folder: Where,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TIME", help="Which one (default: the newest)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of what the database has.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every digest of the backup; write nothing.")
    ] = False,
) -> None:
    """Put a backup back into the database and the storage of the settings, each file checked.

    Stop workers, schedulers and the API before. An older backup is brought to this version.
    """
    from pipeline.cli import clients
    from pipeline.cli.upkeep import print_counts
    from pipeline.core import backup as backups
    from pipeline.settings import get_settings

    settings = get_settings()
    clients.configure_logs(settings)
    told = backups.restore(settings, folder, name=name, replace=replace, dry_run=dry_run)
    print_counts(asdict(told))
