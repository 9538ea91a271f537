"""``quayline hosts``: the Docker hosts that containers run on."""

from typing import Annotated

import typer

from pipeline.cli.faults import note
from pipeline.cli.panels import PanelGroup

Name = Annotated[str, typer.Argument(metavar="NAME", help="The host's name.", show_default=False)]

hosts = typer.Typer(
    cls=PanelGroup, no_args_is_help=True, help="The Docker hosts that containers run on."
)


@hosts.command("list")
def list_hosts(
    check: Annotated[bool, typer.Option("--check", help="Ask each of them now.")] = False,
) -> None:
    """List the hosts: address, free slots, and whether they answer."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.tables import print_table

    with open_client() as client:
        from pipeline.core import executions
        from pipeline.core import hosts as known
        from pipeline.kinds.container import cleaning

        if check:
            cleaning.check_hosts(client.context)
        load = executions.load()
        rows = [
            [
                *(host.name, host.url or "(default)", f"{load.get(host.name, 0)}/{host.slots}"),
                _state(host),
                ",".join(f"{key}={value}" for key, value in host.labels.items()),
                str(host.facts.get("version", "")),
                host.error or "",
            ]
            for host in known.known(client.settings)
        ]
    print_table(["HOST", "ADDRESS", "SLOTS", "STATE", "LABELS", "ENGINE", "ERROR"], rows)


@hosts.command("add")
def add(
    name: Name,
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="unix://, tcp://, ssh://…", show_default=False),
    ],
    slots: Annotated[
        int, typer.Option("--slots", metavar="N", min=0, help="Containers at the same time.")
    ] = 8,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY=VALUE", help="What jobs may ask for."),
    ] = None,
) -> None:
    """Let containers run on one more host."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.linting import labels_of

    with open_client() as client:
        from pipeline.core import hosts as known

        known.known(client.settings)
        known.add(name, url, slots=slots, labels=labels_of(labels or ()))
    note(f"Containers may run on {name}.")


@hosts.command("drain")
def drain(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Give it containers again.")] = False,
) -> None:
    """Give a host no more containers; what runs there goes on."""
    from pipeline.cli.clients import open_client

    with open_client():
        from pipeline.core import hosts as known

        known.drain(name, on=not undo)


@hosts.command("remove")
def remove(name: Name) -> None:
    """Forget a host on which nothing runs."""
    from pipeline.cli.clients import open_client

    with open_client():
        from pipeline.core import hosts as known

        known.remove(name)


def _state(host: object) -> str:
    from pipeline.core.hosts import Host

    assert isinstance(host, Host)
    if host.away_since is not None:
        return "away"
    if host.is_draining:
        return "draining"
    return "unknown" if host.checked_at is None else "here"
