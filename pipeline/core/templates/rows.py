"""The versions' rows, read back."""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from pipeline.core import documents
from pipeline.core.templates.ref import split
from pipeline.core.templates.variables import Variable
from pipeline.errors import NotFound, Permanent
from pipeline.store.database import as_uuid, execute, session
from pipeline.store.models import as_utc

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a template as its row stands."""

    id: uuid.UUID
    name: str
    version: int
    owner: str
    kind: str
    parameters: dict[str, Any]
    variables: dict[str, Variable]
    source: dict[str, Any] | None
    priority: int
    labels: dict[str, str]
    deadline_s: float | None
    description: str
    created_at: datetime
    retired_at: datetime | None

    @property
    def ref(self) -> str:
        """Its name and version, as jobs tell them."""
        return f"{self.name}@{self.version}"


_SELECT = f"SELECT {', '.join(Template.__slots__)} FROM templates"
_VARIABLES = TypeAdapter(dict[str, Variable])


def get(ref: str) -> Template:
    """Return the version that is named, or the newest one that is not retired; ``NotFound``."""
    name, version = split(ref)
    where, told = ("version = %s", [version]) if version else ("retired_at IS NULL", [])
    with session():
        rows = execute(
            f"{_SELECT} WHERE name = %s AND {where} ORDER BY version DESC LIMIT 1", name, *told
        )
        if not rows:
            raise _not_found(ref, name, version)
        return as_template(rows[0])


def _not_found(ref: str, name: str, version: int | None) -> NotFound:
    if version is None and execute("SELECT 1 FROM templates WHERE name = %s LIMIT 1", name):
        return NotFound(f"Every version of the template {name!r} is retired.")
    return NotFound(f"There is no template {ref!r}.")


def listed(*, after: str = "", limit: int = 10_000) -> list[Template]:
    """Return the newest version that is not retired of each template, by name, from the one after
    that name on. One that this version of Quayline does not read costs itself."""
    with session():
        rows = execute(
            f"{_SELECT} WHERE retired_at IS NULL AND name > %s AND version = (SELECT"
            " max(newer.version) FROM templates newer WHERE newer.name = templates.name"
            " AND newer.retired_at IS NULL) ORDER BY name LIMIT %s",
            *(after, limit),
        )
    return _readable(rows)


def versions(name: str, *, before: int | None = None, limit: int = 10_000) -> list[Template]:
    """Return the versions of a template, retired ones too, the newest first, from before that one
    on; ``NotFound`` when there is none of that name."""
    name, _ = split(name)
    with session():
        if not execute("SELECT 1 FROM templates WHERE name = %s LIMIT 1", name):
            raise NotFound(f"There is no template {name!r}.")
        rows = execute(
            f"{_SELECT} WHERE name = %s AND version < %s ORDER BY version DESC LIMIT %s",
            *(name, 2**31 - 1 if before is None else before, limit),
        )
    return _readable(rows)


def _readable(rows: Iterable[tuple[Any, ...]]) -> list[Template]:
    found = []
    for row in rows:
        try:
            found.append(as_template(row))
        except Permanent as error:
            log.error(
                "A template cannot be read",
                extra={"template": f"{row[1]}@{row[2]}", "error": str(error)},
            )
    return found


def as_template(row: tuple[Any, ...]) -> Template:
    """Return what the row says; ``Permanent`` when it holds something else."""
    told = dict(zip(Template.__slots__, row, strict=True))
    texts = {name: told[name] for name in ("parameters", "labels", "source", "variables")}
    read = {name: _document(text, name) for name, text in texts.items() if text is not None}
    try:
        read["variables"] = _VARIABLES.validate_python(read["variables"])
    except ValidationError as error:
        raise documents.corrupt("variables are none") from error
    times = {name: as_utc(told[name]) for name in ("created_at", "retired_at")}
    return Template(**{**told, **read, **times, "id": as_uuid(told["id"])})


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        return documents.mapping(orjson.loads(text), name)
    except orjson.JSONDecodeError as error:
        raise documents.corrupt(f"{name} is no JSON") from error
