"""Commands for operators: ``fsck`` (recount and clean up), ``dead-letters`` (what nobody took)."""

from typing import Annotated

import typer

from pipeline.cli.exits import CLEAN, FAILED
from pipeline.cli.faults import note

dead_letters = typer.Typer(
    help="Messages that no worker could take: list, show, replay, purge.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def fsck(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what was found.")] = False,
) -> None:
    """Recount every job, look for files that no row needs and for blobs that are gone.

    Safe beside running workers; files of the last hour are left alone.

    Exit code 0: nothing was found, or all of it was mended; 1: something is left.
    """
    from pipeline.cli.clients import open_client
    from pipeline.core.fsck import fsck as check

    with open_client() as client:
        found = check(client.context, repair=repair)
        for label, jobs in (
            ("wrong counters", found.wrong_counters),
            ("left open", found.left_open),
            ("ended with open tasks", found.left_over),
            ("blobs are gone", found.missing_blobs),
        ):
            for job in jobs:
                typer.echo(f"{label}: job {job}")
        typer.echo(f"jobs checked: {found.jobs}")
        typer.echo(f"leases of dead workers: {found.lapsed_leases}")
        typer.echo(f"tasks that wait for what has ended: {found.wrong_needs}")
        typer.echo(f"rows of jobs that are gone: {found.homeless_rows}")
        typer.echo(f"orphan files: {found.orphan_blobs} ({found.orphan_bytes} bytes)")
        typer.echo(f"spooled files of dead writers: {found.spooled_files}")
        typer.echo(f"temporary files of dead processes: {found.temporary_files}")
        typer.echo(f"repaired: {found.repaired}")
        if found.clean:
            raise typer.Exit(CLEAN)
        if not repair:
            note("Run `quayline fsck --repair` to mend it.")
        raise typer.Exit(CLEAN if repair and not found.missing_blobs else FAILED)


@dead_letters.command("list")
def list_letters(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
) -> None:
    """List them, the newest first; those still in RabbitMQ are taken in before."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.tables import print_table
    from pipeline.core import dead_letters as letters

    with open_client() as client:
        if not client.settings.embedded:
            letters.take_in()
        rows = [
            (
                str(letter.id),
                letter.found_at.isoformat(timespec="seconds"),
                letter.queue,
                letter.actor or "-",
                letter.reason,
                "yes" if letter.replayed_at else "no",
            )
            for letter in letters.listed(limit)
        ]
        print_table(("id", "found", "queue", "actor", "reason", "replayed"), rows)


@dead_letters.command("show")
def show_letter(letter_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one, its body as it came."""
    from pipeline.cli.clients import open_client
    from pipeline.core import dead_letters as letters

    with open_client():
        letter = letters.get(letter_id)
        for name in ("id", "queue", "actor", "reason", "found_at", "replayed_at"):
            typer.echo(f"{name}: {getattr(letter, name)}")
        if wrong := letters.misfit(letter):
            typer.echo(f"not taken: {wrong}")
        typer.echo(f"body: {bytes(letter.body).decode('utf-8', 'backslashreplace')!r}")


@dead_letters.command("replay")
def replay_letters(ids: Annotated[list[str], typer.Argument(metavar="ID…")]) -> None:
    """Send them again as new messages; the rows stay and say when."""
    from pipeline.cli.clients import open_client
    from pipeline.core import dead_letters as letters

    with open_client():
        for letter_id in ids:
            letters.replay(letter_id)
            typer.echo(f"sent again: {letter_id}")


@dead_letters.command("purge")
def purge_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Throw them away: those named, or ``--all``."""
    from pipeline.cli.clients import open_client
    from pipeline.core import dead_letters as letters
    from pipeline.errors import Refused

    if bool(ids) == everything:
        raise Refused("Name the dead letters to throw away, or give --all.")
    with open_client():
        typer.echo(f"thrown away: {letters.purge(ids or None)}")
