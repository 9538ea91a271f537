"""Reads one configuration file into the nested mapping SQLFluff itself would make of it.

The rules are SQLFluff 4.5's (``core/config/{ini,toml}.py``), restated here so that workers and
clients need not import SQLFluff. What SQLFluff would refuse to read raises ``Unreadable``.
"""

import configparser
import re
import tomllib
from collections.abc import Iterator
from typing import Any, TypeAlias

Nested: TypeAlias = dict[str, Any]

MAX_FILE_BYTES = 1024 * 1024
# configparser takes quadratic time over a run of blanks inside a line.
_BLANK_RUN = re.compile(r"[^\S\n]{500}")
# tomllib takes quadratic time over the parts of one dotted key.
_MAX_DOTS_IN_LINE = 1000
# Deeper sections than any real configuration has; keeps recursion shallow.
MAX_DEPTH = 40


class Unreadable(Exception):
    """Raised with a sentence when the file cannot be read as configuration."""


def read(name: str, content: bytes) -> Nested:
    """The SQLFluff part of one file: ``core`` for the root section, nested mappings below."""
    if len(content) > MAX_FILE_BYTES:
        raise Unreadable(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        values = _read_toml(text) if name == "pyproject.toml" else _read_ini(text)
        too_deep = any(len(path) > MAX_DEPTH for path, _ in records(values))
    except RecursionError:
        too_deep = True
    if too_deep:
        raise Unreadable("is nested too deeply")
    return values


def records(values: Nested, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every plain value with its path, in the order of the file."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from records(value, (*above, key))
        else:
            yield (*above, key), value


def put(values: Nested, path: tuple[str, ...], value: object) -> None:
    """``values`` holds ``value`` at ``path``; sections are made on the way."""
    section = values
    for step in path[:-1]:
        section = section.setdefault(step, {})
        if not isinstance(section, dict):
            raise Unreadable(f"uses {step!r} both as a key and as a section")
    section[path[-1]] = value


def coerce(value: str) -> Any:
    """A configuration text as the value SQLFluff takes it for."""
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        pass
    words = {"true": True, "false": False, "none": None}
    return words.get(value.strip().lower(), value)


def _read_ini(text: str) -> Nested:
    if not text:
        return {}
    if _BLANK_RUN.search(text):
        raise Unreadable("has a line with hundreds of blanks")
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = lambda optionstr: optionstr  # type: ignore[method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Unreadable(f"is not valid: {_first_line(error)}") from None
    values: Nested = {}
    for section in parser.sections():
        if section == "sqlfluff":
            above: tuple[str, ...] = ("core",)
        elif section.startswith("sqlfluff:"):
            above = tuple(section.removeprefix("sqlfluff:").split(":"))
        else:
            continue
        for key, value in parser.items(section):
            put(values, above + tuple(key.split(".")), coerce(value))
    return values


def _read_toml(text: str) -> Nested:
    if any(line.count(".") > _MAX_DOTS_IN_LINE for line in text.split("\n")):
        raise Unreadable("is nested too deeply")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"is not valid TOML: {_first_line(error)}") from None
    section: Any = document.get("tool", {})
    section = section.get("sqlfluff", {}) if isinstance(section, dict) else {}
    if not isinstance(section, dict):
        raise Unreadable("has a [tool.sqlfluff] that is not a section")
    values = {key: _plain(value, (key,)) for key, value in section.items()}
    if "rules" not in values:
        return values
    if not isinstance(values["rules"], dict):
        raise Unreadable("sets 'rules' to a plain value; each rule needs a table of its own")
    # A rule's name has dots, which TOML reads as nested tables.
    condensed: Nested = {}
    for path, value in records(values["rules"]):
        put(condensed, (".".join(path[:-1]), path[-1]) if len(path) > 2 else path, value)
    values["rules"] = condensed
    return values


def _plain(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below, (*path, key)) for key, below in value.items()}
    if isinstance(value, list):
        if path[:3] in _CONTEXTS:
            return [_plain(below, path) for below in value]
        return [str(below) for below in value]
    return value if isinstance(value, str | int | float) else str(value)


_CONTEXTS = tuple(("templater", name, "context") for name in ("jinja", "python", "dbt"))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
