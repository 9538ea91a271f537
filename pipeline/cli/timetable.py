"""``quayline timetable``: what rings periodically, and when next."""

from enum import StrEnum
from typing import Annotated, Any

import typer


class Shape(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    JSON = "json"


def timetable(
    shape: Annotated[
        Shape, typer.Option("--format", "-f", metavar="NAME", help="table or json.")
    ] = Shape.TABLE,
) -> None:
    """Show what rings periodically under these settings, and when next."""
    from pipeline import clock
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document
    from pipeline.cli.tables import print_table, shown
    from pipeline.core import timetable as told

    with open_client() as client:
        now = clock.now()
        found: list[dict[str, Any]] = []
        for entry in told.entries(client.context):
            times = told.times(entry, client.settings)
            found.append(
                {
                    "name": entry.name,
                    "when": "off" if entry.when is None else str(entry.when),
                    "next_run": None if times is None else times.after(now),
                    "does": entry.sends,
                }
            )
    if shape is Shape.JSON:
        typer.echo(as_document(found))
        return
    rows = [[each["name"], each["when"], shown(each["next_run"]), each["does"]] for each in found]
    print_table(["NAME", "WHEN", "NEXT RUN", "DOES"], rows)
