"""The ``quayline`` command. Commands import what is heavy when they run, so that help is quick."""

import io
import os
import sys
from typing import Annotated

import typer

from pipeline.cli import containers, faults, jobs, linting, repair, service
from pipeline.cli.api import api
from pipeline.cli.backup import backup, restore
from pipeline.cli.doctor import doctor
from pipeline.cli.hosts import hosts
from pipeline.cli.panels import PanelCommand
from pipeline.cli.schedules import schedules
from pipeline.cli.services import services
from pipeline.cli.settings_table import settings
from pipeline.cli.statistics import access_log, statistics
from pipeline.cli.templates import templates
from pipeline.cli.timetable import timetable
from pipeline.cli.tokens import tokens
from pipeline.cli.upkeep import upkeep
from pipeline.cli.workflows import workflow

app = typer.Typer(
    name="quayline",
    cls=faults.Faults,
    help="Background jobs that teams can trust. Lint SQL here, or submit it to workers elsewhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,
)

WORK, JOBS, SERVICE = "Lint", "Jobs", "Service"

for panel, name, command in (
    (WORK, "lint", linting.lint),
    (WORK, "submit", linting.submit),
    (JOBS, "workflow", workflow),
    (JOBS, "jobs", jobs.list_jobs),
    (JOBS, "show", jobs.show),
    (JOBS, "wait", jobs.wait),
    (JOBS, "cancel", jobs.cancel),
    (JOBS, "retry", jobs.retry),
    (JOBS, "report", jobs.report),
    (JOBS, "logs", containers.logs),
    (JOBS, "output", containers.output),
    (JOBS, "kill", containers.kill),
    (SERVICE, "run", service.run),
    (SERVICE, "api", api),
    (SERVICE, "sweep", service.sweep),
    (SERVICE, "timetable", timetable),
    (SERVICE, "doctor", doctor),
    (SERVICE, "fsck", repair.fsck),
    (SERVICE, "upkeep", upkeep),
    (SERVICE, "statistics", statistics),
    (SERVICE, "access-log", access_log),
    (SERVICE, "backup", backup),
    (SERVICE, "restore", restore),
    (SERVICE, "settings", settings),
):
    app.command(name, cls=PanelCommand, rich_help_panel=panel)(command)
app.command(
    "worker",
    cls=PanelCommand,
    rich_help_panel=SERVICE,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(service.worker)


#: ``quayline job show`` is ``quayline show``: the same commands, for who looks for them there.
job = typer.Typer(no_args_is_help=True, help="The commands on jobs, as `job list`, `job show`, …")
for name, command in (
    ("list", jobs.list_jobs),
    ("show", jobs.show),
    ("wait", jobs.wait),
    ("cancel", jobs.cancel),
    ("retry", jobs.retry),
    ("report", jobs.report),
):
    job.command(name)(command)

app.add_typer(job, name="job", rich_help_panel=JOBS)
app.add_typer(schedules, name="schedule", rich_help_panel=JOBS)
app.add_typer(services, name="service", rich_help_panel=JOBS)
app.add_typer(templates, name="template", rich_help_panel=JOBS)
app.add_typer(hosts, name="hosts", rich_help_panel=SERVICE)
app.add_typer(tokens, name="token", rich_help_panel=SERVICE)
app.add_typer(repair.dead_letters, name="dead-letters", rich_help_panel=SERVICE)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            told = version("quayline")
        except PackageNotFoundError:  # Run from a checkout.
            told = "(not installed)"
        typer.echo(f"quayline {told}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and all log lines.")
    ] = False,
) -> None:
    """Take what goes before every command."""
    faults.set_debugging(debug)


def _steady_streams() -> None:
    """No character and no closed stream makes writing fail."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def main() -> None:
    """Run the command line; ``--debug`` may also stand after the command."""
    _steady_streams()
    told = sys.argv[1:]
    own = told[: told.index("--")] if "--" in told else told
    if "--debug" in own:
        own.remove("--debug")
        told = ["--debug", *own, *told[len(own) + 1 :]] if own is not told else ["--debug", *told]
    app(args=told, prog_name="quayline")
