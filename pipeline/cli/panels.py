"""Help in plain text, its options and commands grouped; without rich, which costs 0.1 s to load."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

OTHER = "Options"


class PanelCommand(TyperCommand):
    """A command whose help shows its options under the headings they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options."""
        _write_parameters(self.get_params(ctx), ctx, formatter)


class PanelGroup(TyperGroup):
    """A group whose help shows its commands under the headings they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        _write_parameters(self.get_params(ctx), ctx, formatter)
        groups: dict[str, list[tuple[str, str]]] = {}
        names = self.list_commands(ctx)
        for name in names:
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows = groups.setdefault(
                    getattr(command, "rich_help_panel", None) or "Commands", []
                )
                rows.append((name, _first_sentence(command.help or "")))
        _write(groups, formatter)


def _write_parameters(parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        row = parameter.get_help_record(ctx)
        if row is not None:
            argument = parameter.param_type_name == "argument"
            heading = "Arguments" if argument else getattr(parameter, "rich_help_panel", None)
            groups.setdefault(heading or OTHER, []).append(row)
    # What every command has comes last.
    rest = groups.pop(OTHER, None)
    _write({**groups, **({OTHER: rest} if rest else {})}, formatter)


def _write(groups: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    for heading, rows in groups.items():
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=34)


def _first_sentence(text: str) -> str:
    first = " ".join(text.split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".") + "."
