"""``quayline schedule``: what is submitted at certain times."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.faults import note
from pipeline.cli.options import (
    Deadline,
    FromJob,
    Json,
    Key,
    Labels,
    Owner,
    Priority,
    ValueFile,
    Values,
)
from pipeline.cli.panels import PanelGroup
from pipeline.cli.tables import print_table, shown
from pipeline.errors import Refused
from pipeline.states import CatchUp, Overlap

if TYPE_CHECKING:
    from pipeline.core.schedules.rows import Schedule
    from pipeline.producer import Client

schedules = typer.Typer(
    cls=PanelGroup, no_args_is_help=True, help="What is submitted at certain times."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]


@schedules.command("create")
def create(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE.json]",
            help="The parameters of its jobs, as `quayline run FILE.json` takes them.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Of its jobs (container).")
    ] = None,
    from_job: FromJob = None,
    template: Annotated[
        str | None,
        typer.Option(
            *("--template", "-t"),
            metavar="NAME[@VERSION]",
            help="In place of FILE: that version of a template as it is now.",
        ),
    ] = None,
    values: Values = None,
    value_file: ValueFile = None,
    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPRESSION", help="MINUTE HOUR DAY MONTH WEEKDAY."),
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Apart so far, as 90s or 12h.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Once: 2027-01-31T02:30, in the time zone."),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="As Europe/Berlin (QUAYLINE_TIMEZONE)."),
    ] = None,
    catch_up: Annotated[
        CatchUp,
        typer.Option(
            "--catch-up",
            metavar="HOW",
            help=f"Times missed while no scheduler ran: {', '.join(CatchUp)}.",
        ),
    ] = CatchUp.ONCE,
    overlap: Annotated[
        Overlap,
        typer.Option(
            "--overlap",
            metavar="HOW",
            help=f"While its last job is open: {', '.join(Overlap)}.",
        ),
    ] = Overlap.SKIP,
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not let it fire yet.")] = False,
    priority: Priority = None,
    labels: Labels = None,
    owner: Owner = "",
    deadline: Deadline = None,
) -> None:
    """Let a job be submitted at certain times; what could not be submitted is refused now."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.linting import labels_of
    from pipeline.cli.tokens import seconds

    with open_client() as client:
        zone = timezone or client.settings.timezone
        told: dict[str, Any] = _of_template(client, template, values or (), value_file)
        # What is not told is the template's, where there is one.
        own = {"priority": priority, "deadline_s": deadline}
        told |= {name: each for name, each in own.items() if each is not None}
        made = client.schedules.create(
            *(name, file),
            kind=kind,
            from_job=from_job,
            owner=owner,
            cron=cron,
            every_s=None if every is None else seconds(every),
            at=None if at is None else _moment(at, zone),
            timezone=zone,
            catch_up=str(catch_up),
            overlap=str(overlap),
            enabled=not disabled,
            labels=labels_of(labels or ()),
            **told,
        )
    note(f"Schedule {made.name}: {made.when}, {_next(made)}.")


def _of_template(
    client: "Client", ref: str | None, told: Sequence[str], file: Path | None
) -> dict[str, Any]:
    from pipeline.cli.templates import values_of

    if ref is None:
        if told or file is not None:
            raise Refused("--var and --var-file are values of a template (--template NAME).")
        return {}
    template = client.templates.get(ref)
    return {"template": ref, "variables": values_of(told, file, template)}


def _moment(told: str, zone: str) -> datetime:
    """Return the moment; one without an offset is local time in the zone."""
    from pipeline.core.triggers import zone_of

    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise Refused(f"{told!r} is no time; write 2027-01-31T02:30.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone_of(zone))


@schedules.command("list")
def list_schedules(as_json: Json = False) -> None:
    """List the schedules by name, each with its next time and its last."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document

    with open_client() as client:
        found = client.schedules.list()
    if as_json:
        typer.echo(as_document([_document(each) for each in found]))
        return
    if not found:
        note("There are no schedules.")
        return
    rows = [
        [
            *(each.name, each.kind, str(each.when), each.timezone, _next(each)),
            *(shown(each.last_fire_at), str(each.catch_up), str(each.overlap), each.owner),
        ]
        for each in found
    ]
    heads = ["NAME", "KIND", "WHEN", "ZONE", "NEXT", "LAST", "CATCH-UP", "OVERLAP", "OWNER"]
    print_table(heads, rows)


@schedules.command("show")
def show(
    name: Name,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, max=10_000, help="Most of its history.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Show one with what came of its last times."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document

    with open_client() as client:
        found = client.schedules.get(name)
        history = client.schedules.fires(name, limit=limit)
    if as_json:
        typer.echo(as_document({**_document(found), "fires": [asdict(each) for each in history]}))
        return
    for key, value in _document(found).items():
        if value not in (None, "", {}):
            typer.echo(f"{key + ':':14} {shown(value) if isinstance(value, datetime) else value}")
    if history:
        typer.echo("")
        rows = [
            [
                *(shown(each.fire_time), str(each.outcome), str(each.job_id or "-"), each.actor),
                each.message,
            ]
            for each in history
        ]
        print_table(["TIME", "OUTCOME", "JOB", "BY", "WHY"], rows)


@schedules.command("enable")
def enable(name: Name) -> None:
    """Let it fire from now on."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        note(f"Schedule {name}: {_next(client.schedules.enable(name))}.")


@schedules.command("disable")
def disable(name: Name) -> None:
    """Let it fire no more; what comes meanwhile is not caught up."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        note(f"Schedule {name}: {_next(client.schedules.disable(name))}.")


@schedules.command("run")
def run(name: Name, key: Key = None) -> None:
    """Submit its job now, whether it is on or off; print the job's id."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        typer.echo(client.schedules.run(name, actor="command line", idempotency_key=key))


@schedules.command("delete")
def delete(name: Name) -> None:
    """Take it and its history away; its jobs stay."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        client.schedules.delete(name)
    note(f"Schedule {name} is gone.")


def _document(told: "Schedule") -> dict[str, Any]:
    return {name: getattr(told, name) for name in type(told).__slots__ if name != "anchor_at"}


def _next(told: "Schedule") -> str:
    if not told.enabled:
        return "off"
    return "ended" if told.next_fire_at is None else f"next {shown(told.next_fire_at)}"
