"""``quayline statistics`` and ``quayline access-log``: figures of days, and single requests."""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from pipeline.cli.options import Json

MOST_REQUESTS = 100_000

First = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="The first day, as 2026-11-01.")
]
Last = Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day.")]


def statistics(
    first: First = None,
    last: Last = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Figures of this name alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the figures of days, the newest first: the last 31 where nothing else is said.

    `quayline upkeep generate_statistics --day DAY` makes them; the scheduler does so every night.
    """
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document
    from pipeline.cli.tables import print_table
    from pipeline.core import statistics as known

    with open_client() as client:
        since, until = _days(first, last, client.settings.timezone)
        found = known.listed(since, until, name=name)
    if as_json:
        typer.echo(as_document([asdict(each) for each in found]))
        return
    rows = [
        (
            *(told.day.isoformat(), each.name, f"{each.value:.15g}"),
            " ".join(f"{label}={value}" for label, value in each.labels.items()),
        )
        for told in found
        for each in told.figures
    ]
    print_table(("DAY", "FIGURE", "VALUE", "OF"), rows)


def access_log(
    first: First = None,
    last: Last = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Of this owner of a token.")
    ] = None,
    path: Annotated[
        str | None, typer.Option("--path", metavar="PREFIX", help="Paths that begin so.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MOST_REQUESTS, help="Most requests.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """Show requests to the API, the newest first: of the last 31 days, if nothing else is said."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document
    from pipeline.cli.tables import print_table
    from pipeline.core import access_log as log
    from pipeline.core.statistics import days

    with open_client() as client:
        zone = client.settings.timezone
        since, until = _days(first, last, zone)
        span = (days.bounds(since, zone)[0], days.bounds(until, zone)[1])
        found = log.listed(log.Wanted(*span, user_id=user, path_prefix=path), limit=limit)
    if as_json:
        typer.echo(as_document([asdict(each) for each in found]))
        return
    print_table(("AT", "USER", "FROM", "STATUS", "MS", "REQUEST"), [_row(each) for each in found])


def _row(told: Any) -> tuple[str, ...]:
    at: datetime = told.at
    return (
        f"{at:%Y-%m-%d %H:%M:%S}Z",
        told.user_id or "-",
        told.ip_address or "-",
        str(told.status_code),
        f"{told.response_time_ms:.1f}",
        f"{told.method} {told.path}",
    )


def _days(first: str | None, last: str | None, zone: str) -> tuple[date, date]:
    from pipeline.core.statistics import days
    from pipeline.errors import Refused
    from pipeline.store.models import database_now

    until = days.of(database_now(), zone) if last is None else days.named(last)
    since = until - timedelta(days=30) if first is None else days.named(first)
    if since > until:
        raise Refused(f"The first day, {since}, is after the last, {until}.")
    return since, until
