"""``quayline template``: jobs that are described once and submitted by name."""

import json
from collections.abc import Sequence
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
    Quiet,
    ValueFile,
    Values,
)
from pipeline.cli.panels import PanelGroup
from pipeline.cli.tables import brief, print_table, shown
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.core.templates.rows import Template

templates = typer.Typer(
    cls=PanelGroup, no_args_is_help=True, help="Jobs described once and submitted by name."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@VERSION]",
        help="The newest version that is not retired, or that one.",
        show_default=False,
    ),
]


@templates.command("create")
def create(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE.json]",
            help="Its kind, parameters, variables, priority, labels, deadline_s, description.",
            show_default=False,
        ),
    ] = None,
    from_job: FromJob = None,
    owner: Owner = "",
    as_json: Json = False,
) -> None:
    """Store a new version; the same again as the newest version makes none."""
    from pipeline.cli.clients import open_client

    if file is None and from_job is None:
        raise Refused("Give the FILE of the template, or a job to repeat (--from-job JOB).")
    with open_client() as client:
        made = client.templates.create(name, file, from_job=from_job, owner=owner)
    if as_json:
        _print_json(_document(made))
    else:
        note(f"Template {made.ref}: {_needs(made)}.")


@templates.command("list")
def list_templates(as_json: Json = False) -> None:
    """List the newest version of each template that is not retired."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        found = client.templates.list()
    if as_json:
        _print_json([_document(each) for each in found])
        return
    if not found:
        note("There are no templates.")
        return
    rows = [
        [each.ref, each.kind, ", ".join(each.variables), each.owner, brief(each.description)]
        for each in found
    ]
    print_table(["TEMPLATE", "KIND", "VARIABLES", "OWNER", "WHAT FOR"], rows)


@templates.command("show")
def show(ref: Ref, as_json: Json = False) -> None:
    """Show one version: its variables and parameters."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import as_document

    with open_client() as client:
        found = client.templates.get(ref)
    if as_json:
        _print_json(_document(found))
        return
    for key, value in _document(found).items():
        if key not in ("variables", "parameters") and value not in (None, "", {}):
            told = shown(value) if key.endswith("_at") else value
            typer.echo(f"{key + ':':14} {told}")
    if found.variables:
        typer.echo("")
        rows = [
            [name, str(each.type), _given(each.default, each.is_required), brief(each.description)]
            for name, each in found.variables.items()
        ]
        print_table(["VARIABLE", "TYPE", "DEFAULT", "WHAT IT IS"], rows)
    typer.echo("")
    typer.echo(as_document(found.parameters))


@templates.command("versions")
def versions(name: Name, as_json: Json = False) -> None:
    """List all versions of one, the newest first, retired ones too."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        found = client.templates.versions(name)
    if as_json:
        _print_json([_document(each) for each in found])
        return
    rows = [
        [each.ref, each.kind, each.owner, shown(each.created_at), shown(each.retired_at)]
        for each in found
    ]
    print_table(["TEMPLATE", "KIND", "OWNER", "CREATED", "RETIRED"], rows)


@templates.command("retire")
def retire(ref: Ref) -> None:
    """Let no more jobs be made of that version, or of any."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        gone = client.templates.retire(ref)
    note(f"Retired: {', '.join(gone) or 'none, they were before'}.")


@templates.command("submit")
def submit(
    ref: Ref,
    told: Values = None,
    file: ValueFile = None,
    priority: Priority = None,
    labels: Labels = None,
    owner: Owner = "",
    key: Key = None,
    deadline: Deadline = None,
    waiting: Annotated[
        bool, typer.Option("--wait", help="Wait for its end, as wait does.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Submit a job of a template; print the job's id."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.jobs import wait_for
    from pipeline.cli.linting import labels_of

    code = 0
    with open_client(work=waiting) as client:
        values = values_of(told or (), file, client.templates.get(ref))
        job = client.templates.submit(
            *(ref, values),
            priority=priority,
            labels=labels_of(labels or ()),
            owner=owner,
            idempotency_key=key,
            deadline_s=deadline,
        )
        typer.echo(job.id)
        if waiting:
            code = wait_for(client, job, quiet=quiet)
        elif client.settings.embedded:
            note("The job waits until `quayline run` or `quayline wait` works on it.")
    raise typer.Exit(code)


def values_of(told: Sequence[str], file: Path | None, template: "Template") -> dict[str, Any]:
    """Return the values as their variables have them: texts as they are, the rest from JSON."""
    from pipeline.producer.reading import read_document

    found: dict[str, Any] = {} if file is None else dict(read_document(file))
    for each in told:
        name, sign, text = each.partition("=")
        if not sign:
            raise Refused(f"--var {each!r} is no NAME=VALUE.")
        variable = template.variables.get(name)
        # An unknown name is told with those that are known, where all values are checked.
        if variable is None or variable.type == "string":
            found[name] = text
            continue
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError):
            raise Refused(
                f"--var {each!r}: {name} is of the type {variable.type}, to be written as JSON."
            ) from None
    return found


def _document(told: "Template") -> dict[str, Any]:
    found = {name: getattr(told, name) for name in type(told).__slots__}
    found["variables"] = {
        name: each.model_dump(mode="json", exclude_unset=True)
        for name, each in told.variables.items()
    }
    return found


def _print_json(told: Any) -> None:
    from pipeline.cli.jobs import as_document

    typer.echo(as_document(told))


def _needs(told: "Template") -> str:
    needed = [name for name, each in told.variables.items() if each.is_required]
    return f"needs {', '.join(needed)}" if needed else "needs no values"


def _given(default: Any, is_required: bool) -> str:
    if is_required:
        return "(needed)"
    return "" if default is None else json.dumps(default, ensure_ascii=False)
