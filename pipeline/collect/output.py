"""Records as a file: JSON, JSON Lines or CSV, written in one pass and put in place at once."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.collect.config.fields import OutputFormat
from pipeline.collect.plainjson import dumped

Records = Callable[[], Iterable[dict[str, Any]]]


def write_records(
    folder: Path, prefix: str, form: OutputFormat, records: Records, columns: Sequence[str] = ()
) -> str:
    """Return the name of the file, which holds all records in UTF-8.

    ``columns`` come first in a CSV; keys beyond them follow in the order of their first sight,
    lists and objects are JSON in their cell, None is an empty one.
    """
    path = folder / f"{prefix}.{form}"
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        _FORMS[form](file, records, columns)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path.name


def _json(file: IO[str], records: Records, columns: Sequence[str]) -> None:
    separator = "[\n"
    for record in records():
        file.write(separator + dumped(record))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _lines(file: IO[str], records: Records, columns: Sequence[str]) -> None:
    file.writelines(dumped(record) + "\n" for record in records())


def _csv(file: IO[str], records: Records, columns: Sequence[str]) -> None:
    names = list(dict.fromkeys((*columns, *_keys(records))))
    writer = csv.writer(file)
    if names:
        writer.writerow(names)
    for record in records():
        writer.writerow([_cell(record.get(name)) for name in names])


def _keys(records: Records) -> Iterator[str]:
    return (name for record in records() for name in record)


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | bool):
        return dumped(value)
    return "" if value is None else value


_FORMS: dict[str, Callable[[IO[str], Records, Sequence[str]], None]] = {
    "json": _json,
    "jsonl": _lines,
    "csv": _csv,
}
