"""``quayline upkeep``: what keeps a deployment in order, listed, or done by hand."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pipeline.cli.options import Json


def upkeep(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The chore to do.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be done; change nothing.")
    ] = False,
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="DAY", help="For one day, as 2026-11-01, where it counts."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Do a chore here and now, and print its counts; without a NAME list them all.

    The scheduler has workers do the same at its times. Every chore may run beside work, and itself.
    """
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document
    from pipeline.cli.tables import print_table
    from pipeline.core import upkeep as known
    from pipeline.core.statistics import named

    if name is None:
        rows = [(chore.name, chore.queue, chore.about) for chore in known.chores()]
        if as_json:
            names = ("name", "queue", "about")
            typer.echo(as_document([dict(zip(names, row, strict=True)) for row in rows]))
        else:
            print_table(("NAME", "QUEUE", "ABOUT"), rows)
        return
    chore = known.get(name)
    wanted = None if day is None else named(day)
    with open_client() as client:
        done = asdict(chore.do(client.context, wanted, dry_run=dry_run))
    if as_json:
        typer.echo(as_document(done))
    else:
        print_counts(done)


def print_counts(told: dict[str, Any], prefix: str = "") -> None:
    """Print counts, a line each."""
    for name, value in told.items():
        label = prefix + name.replace("_", " ")
        if isinstance(value, dict):
            print_counts(value, f"{label}: ")
        elif isinstance(value, list):
            for each in value:
                typer.echo(f"{label}: {each}")
        else:
            typer.echo(f"{label}: {value}")
