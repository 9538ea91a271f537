"""Versions are made and retired; what no values could make a job of is not stored."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipeline import clock, jsontext
from pipeline.core import documents, repeating
from pipeline.core.context import Context
from pipeline.core.kinds import Kind
from pipeline.core.repeating import PARAMETERS
from pipeline.core.templates import filling, rows
from pipeline.core.templates.filling import Filling
from pipeline.core.templates.ref import split
from pipeline.core.templates.rows import Template
from pipeline.core.templates.spec import TemplateRequest
from pipeline.core.templates.variables import Variable, VariableType, resolved
from pipeline.errors import NotFound, Refused
from pipeline.states import Reason
from pipeline.store.database import as_json, dialect, execute, lock, transaction

#: What makes a version another one than the one before.
CONTENT = ("kind", "parameters", "variables", "source", "priority", "labels", "deadline_s")


def create(asked: TemplateRequest, context: Context, *, owner: str = "") -> Template:
    """Store a new version of the template; return it.

    The same again as the newest version is that version, so that a request that is repeated, or a
    pipeline that tells its templates at every run, makes none. ``Refused`` says what is wrong.
    """
    job = repeating.job_of(asked.from_job)
    kind = repeating.kind_of(asked.kind, job)
    parameters = repeating.parameters_of(asked.parameters, job)
    if asked.parameters is None:
        # A job's own parameters are no template: what looks like a placeholder is none.
        parameters = filling.escaped(parameters)
    _check(kind, parameters, asked.variables, context, name=asked.name)
    source = None
    if kind.needs_source:
        source = repeating.source_of(
            *(kind, parameters, job, context), name=asked.name, what="template"
        )
    row = {
        **{"id": clock.new_id().hex, "name": asked.name, "owner": owner, "kind": kind.name},
        "parameters": as_json(parameters),
        "variables": as_json(_told(asked.variables)),
        "source": None if source is None else as_json(source),
        "priority": asked.priority,
        "labels": as_json(asked.labels),
        "deadline_s": asked.deadline_s,
        # Half a surrogate pair is no character that a database takes.
        "description": asked.description.encode("utf-8", "replace").decode(),
    }
    with transaction():
        # Makers of one template take turns; should they not, one version has one row.
        lock(f"template:{asked.name}")
        if not _is_newest(row):
            _insert(row)
        return rows.get(asked.name)


def _insert(row: Mapping[str, Any]) -> None:
    places = ", ".join(["%s"] * len(row))
    execute(
        f"INSERT INTO templates ({', '.join(row)}, version, created_at) VALUES ({places},"
        " (SELECT COALESCE(max(version), 0) + 1 FROM templates WHERE name = %s),"
        f" {dialect().now})",
        *(*row.values(), row["name"]),
    )


def _is_newest(row: Mapping[str, Any]) -> bool:
    columns = (*CONTENT, "description", "retired_at")
    found = execute(
        f"SELECT {', '.join(columns)} FROM templates WHERE name = %s ORDER BY version DESC LIMIT 1",
        row["name"],
    )
    return found == [(*(row[name] for name in columns[:-1]), None)]


def _told(variables: Mapping[str, Variable]) -> dict[str, Any]:
    return {
        name: each.model_dump(mode="json", exclude_unset=True) for name, each in variables.items()
    }


def _check(
    kind: Kind,
    parameters: Mapping[str, Any],
    variables: Mapping[str, Variable],
    context: Context,
    *,
    name: str,
) -> None:
    """Refuse what can be seen to be wrong before there are values."""
    filling.check(parameters, variables)
    limit = context.settings.api_max_body_bytes
    if len(jsontext.encoded([parameters, _told(variables)])) > limit:
        raise Refused(
            f"The template is larger than {limit} bytes (QUAYLINE_API_MAX_BODY_BYTES).",
            reason=Reason.TOO_LARGE,
        )
    if not any(each.is_required for each in variables.values()):
        values = resolved(variables, {}, of=name)
        told = Filling(values, most_bytes=limit).filled(parameters)
        repeating.check(kind, told, context)
    else:
        _check_names(kind, parameters, variables, limit)


def _check_names(
    kind: Kind,
    parameters: Mapping[str, Any],
    variables: Mapping[str, Variable],
    limit: int,
) -> None:
    """Refuse parameters that the kind does not know, whatever the values will be."""
    samples = {name: _sample(each) for name, each in variables.items()}
    try:
        kind.parameters.model_validate(Filling(samples, most_bytes=limit).filled(parameters))
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            if each["type"] == "extra_forbidden" and _is_certain(each["loc"], parameters):
                raise Refused(f"{documents.misfit(each, PARAMETERS)}.") from error


def _is_certain(place: tuple[int | str, ...], parameters: Mapping[str, Any]) -> bool:
    """Tell whether the place is a name that stands in the parameters themselves, in a model that no
    value decides on: some kinds' models are told apart by one of the parameters."""
    if len(place) == 2 and place[0] not in parameters:
        return place[0] in [each for each in parameters.values() if isinstance(each, str)]
    return len(place) == 1


_SAMPLES: dict[VariableType, Any] = {
    VariableType.STRING: "",
    VariableType.INTEGER: 0,
    VariableType.NUMBER: 0,
    VariableType.BOOLEAN: False,
    VariableType.LIST: [],
    VariableType.OBJECT: {},
}


def _sample(variable: Variable) -> Any:
    if variable.has_default:
        return variable.default
    return variable.enum[0] if variable.enum else _SAMPLES[variable.type]


def retire(ref: str) -> list[str]:
    """Let no more jobs be made of that version, or of any version; return those that were used
    until now. Jobs that were made stay; ``NotFound`` when there is no such template."""
    name, version = split(ref)
    only, told = (" AND version = %s", [version]) if version else ("", [])
    with transaction():
        lock(f"template:{name}")
        if not execute(f"SELECT 1 FROM templates WHERE name = %s{only} LIMIT 1", name, *told):
            raise NotFound(f"There is no template {ref!r}.")
        gone = execute(
            f"UPDATE templates SET retired_at = {dialect().now}"
            f" WHERE name = %s{only} AND retired_at IS NULL RETURNING version",
            *(name, *told),
        )
    return [f"{name}@{number}" for (number,) in sorted(gone)]
