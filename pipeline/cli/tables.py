"""Tables: drawn for people on a terminal, plain columns elsewhere."""

import sys
from collections.abc import Sequence
from datetime import datetime

import typer

COLOURS = {
    "succeeded": "green",
    "passed": "green",
    "running": "cyan",
    "partial": "yellow",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "dim",
}


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows; cells are texts, never markup."""
    if sys.stdout.isatty():
        _drawn(heads, rows)
        return
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    for row in [heads, *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _drawn(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place, head in enumerate(heads):
        last = place == len(heads) - 1
        table.add_column(head, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console().print(table)


def shown(moment: datetime | None) -> str:
    """Return the moment as local time, or a dash."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def brief(text: str) -> str:
    """Return the first line of a text, shortened for a cell."""
    first = (text.strip().splitlines() or [""])[0]
    return first if len(first) <= 60 else f"{first[:60]}…"
