"""``quayline doctor``: what is reachable, what is not, and how to mend it."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.exits import UNABLE
from pipeline.cli.options import Json

if TYPE_CHECKING:
    from pipeline.cli.checks import Check

SIGNS = {"ok": "✓", "warning": "!", "failed": "✗"}
PLAIN_SIGNS = {"ok": "ok", "warning": "--", "failed": "XX"}
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    show_settings: Annotated[
        bool, typer.Option("--settings", help="Show every QUAYLINE_* setting instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check database, storage, broker, SQLFluff, Docker, disk and clock.

    The exit code is 2 when something does not work.
    """
    if show_settings:
        from pipeline.cli.settings_table import print_settings

        print_settings(as_json=as_json)
        return
    from pipeline.cli import clients
    from pipeline.cli.checks import Mark, checks
    from pipeline.settings import get_settings

    current = get_settings()
    clients.configure_logs(current)
    found = []
    for check in checks(current):
        found.append(check)
        if not as_json:
            typer.echo(_line(check))
    if as_json:
        from pipeline.cli.jobs import as_document

        typer.echo(as_document([asdict(check) for check in found]))
    if any(check.mark is Mark.BAD for check in found):
        raise typer.Exit(UNABLE)


def _line(check: "Check") -> str:
    try:
        "✓✗".encode(sys.stdout.encoding or "ascii")
        sign = SIGNS[check.mark]
    except UnicodeEncodeError:
        sign = PLAIN_SIGNS[check.mark]
    if sys.stdout.isatty():
        sign = typer.style(sign, fg=COLOURS[check.mark], bold=True)
    return f"{sign} {check.name + ':':22} {check.message}"
