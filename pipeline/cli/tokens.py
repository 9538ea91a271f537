"""``quayline token``: who may use the HTTP side."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.faults import note
from pipeline.cli.panels import PanelGroup
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.core.api_tokens import ApiToken

tokens = typer.Typer(
    cls=PanelGroup, no_args_is_help=True, help="Who may use the HTTP side: create, list, revoke."
)

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@tokens.command("create")
def create(
    owner: Annotated[
        str, typer.Option("--owner", metavar="NAME", help="Whose jobs.", show_default=False)
    ],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="submitter, operator or admin.")
    ] = "submitter",
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")] = "",
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="After so long, as 90d or 12h (never)."),
    ] = None,
) -> None:
    """Make a token and print it; nobody can tell it again."""
    from pipeline.cli.clients import open_client

    expires_s = None if expires is None else seconds(expires)
    with open_client():
        from pipeline.core import api_tokens

        told, secret = api_tokens.create(owner, role, name=name, expires_s=expires_s)
    typer.echo(secret)
    until = f" until {told.expires_at:%Y-%m-%d %H:%M} UTC" if told.expires_at else ""
    note(f"Token {told.id}: {told.role} of {told.owner}{until}. It is not shown again.")


@tokens.command("list")
def list_tokens() -> None:
    """List the tokens, the newest first; never themselves."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.tables import print_table

    with open_client():
        from pipeline.core import api_tokens

        rows = [
            [
                *(str(told.id), told.owner, str(told.role), told.name),
                told.created_at.isoformat(timespec="seconds"),
                told.expires_at.isoformat(timespec="seconds") if told.expires_at else "-",
                _state(told),
            ]
            for told in api_tokens.listed()
        ]
    print_table(["ID", "OWNER", "ROLE", "NAME", "CREATED", "EXPIRES", "STATE"], rows)


@tokens.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """Let a token be taken no more, within seconds."""
    from pipeline.cli.clients import open_client

    with open_client():
        from pipeline.core import api_tokens

        told = api_tokens.revoke(token_id)
    note(f"Token {told.id} of {told.owner} is revoked.")


def seconds(told: str) -> float:
    """Return a time like 90d, 12h, 30m or 10s in seconds."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", told.strip().lower())
    if found is None:
        raise Refused(f"{told!r} is no time; write 90d, 12h, 30m or 10s.")
    return float(found[1]) * UNITS_S[found[2]]


def _state(told: "ApiToken") -> str:
    from pipeline.clock import now

    if told.revoked_at is not None:
        return "revoked"
    if told.expires_at is not None and told.expires_at <= now():
        return "expired"
    return "valid"
