"""``quayline settings``: every ``QUAYLINE_*`` variable, its value here, and what it is for."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import urlsplit

import typer

from pipeline.cli.options import Json

SECRET = "***"  # noqa: S105


@dataclass(frozen=True)
class Told:
    """One setting as it stands in this process."""

    name: str
    value: str
    is_set: bool
    description: str


def settings(
    as_json: Json = False,
    as_sample: Annotated[
        bool, typer.Option("--sample", help="A file of variables with the defaults, to fill in.")
    ] = False,
) -> None:
    """Show every QUAYLINE_* setting, its value here and its meaning.

    Passwords are masked.
    """
    if as_sample:
        typer.echo(sample(), nl=False)
        return
    print_settings(as_json=as_json)


def sample() -> str:
    """Return deploy/environment.sample: each setting, commented out, with its default.

    One whose default follows the machine (a folder, its name, its cores) is shown empty, which
    means the default, too.
    """
    from pipeline.settings import Settings

    lines = [
        "# Every setting of Quayline with its default: take a copy and uncomment what you change.",
        "# `quayline settings --sample` writes this file.",
    ]
    for name, field in Settings.model_fields.items():
        has_none = field.default_factory is not None or field.default is None
        default = "" if has_none else field.default
        lines += ["", f"# {field.description}", f"#QUAYLINE_{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


def print_settings(*, as_json: bool) -> None:
    """Print the settings of this process."""
    told = list(told_settings())
    if as_json:
        from pipeline.cli.jobs import as_document

        typer.echo(as_document([asdict(each) for each in told]))
        return
    colours = sys.stdout.isatty()
    for each in told:
        mark = "" if each.is_set else "  (default)"
        value = each.value or "(empty)"
        name = typer.style(each.name, bold=True) if colours else each.name
        typer.echo(f"{name} = {value}{mark}\n    {each.description}")


def told_settings() -> Iterator[Told]:
    """Yield the settings in their order; passwords in URLs are masked."""
    from pipeline.settings import get_settings

    current = get_settings()
    for name, field in type(current).model_fields.items():
        yield Told(
            name=f"QUAYLINE_{name.upper()}",
            value=masked(_text(getattr(current, name))),
            is_set=name in current.model_fields_set,
            description=field.description or "",
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def masked(value: str) -> str:
    """Return the value; when it is a URL, without its password and without secrets in its query."""
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        password = parts.password
    except ValueError:
        return SECRET
    place = parts.netloc
    if password is not None:
        user, _, host = place.rpartition("@")
        place = f"{user.partition(':')[0]}:{SECRET}@{host}"
    query = "&".join(map(_masked_pair, parts.query.split("&"))) if parts.query else ""
    # By hand: urlunsplit drops the // of memory:// and the third / of sqlite:///.
    rest = f"?{query}" if query else ""
    return f"{parts.scheme}://{place}{parts.path}{rest}"


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    words = ("password", "secret", "token", "key", "passfile")
    return f"{name}={SECRET}" if equals and any(word in name.lower() for word in words) else pair
