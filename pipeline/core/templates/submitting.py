"""A job made of a template: its values checked and put in, then submitted as any other."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core import documents, jobs, repeating
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.kinds import get_kind
from pipeline.core.templates import rows
from pipeline.core.templates.filling import Filling
from pipeline.core.templates.ref import split
from pipeline.core.templates.rows import Template
from pipeline.core.templates.spec import TemplateJob
from pipeline.core.templates.variables import resolved
from pipeline.errors import Conflict, Refused
from pipeline.store.database import dialect, execute

LABEL = "template"


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its values in it: what a job of it is given."""

    template: Template
    parameters: dict[str, Any]
    source: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its jobs."""
        return {**self.template.labels, LABEL: self.template.ref}


def submit(
    ref: str,
    asked: TemplateJob,
    context: Context,
    *,
    owner: str = "",
    idempotency_key: str | None = None,
    heard: bool = True,
) -> uuid.UUID:
    """Submit a job of the template; return its id.

    A request that is repeated under its key is the job that it made, of the version that was used
    then, whatever versions have come or were retired since. ``Refused`` says which value is wrong.
    """
    used = _used_before(ref, owner, idempotency_key)
    template = usable(ref) if used is None else rows.get(used)
    try:
        return _submit(template, asked, context, owner, idempotency_key, heard, used is not None)
    except Conflict:
        # The same request may have come twice at once, and a new version between the two.
        again = _used_before(ref, owner, idempotency_key)
        if again in (None, template.ref):
            raise
        return _submit(rows.get(again), asked, context, owner, idempotency_key, heard, True)


def _submit(
    template: Template,
    asked: TemplateJob,
    context: Context,
    owner: str,
    key: str | None,
    heard: bool,
    is_repeated: bool,
) -> uuid.UUID:
    told = filled(template, asked.variables, context)
    return jobs.submit(
        Submission(
            kind=template.kind,
            parameters=told.parameters,
            source=told.source,
            priority=template.priority if asked.priority is None else asked.priority,
            owner=owner,
            labels={**told.labels, **asked.labels, LABEL: template.ref},
            idempotency_key=key,
            deadline_s=template.deadline_s if asked.deadline_s is None else asked.deadline_s,
        ),
        heard=heard,
        hold=None if is_repeated else lambda: hold(template),
    )


def filled(template: Template, values: Mapping[str, Any], context: Context) -> Filled:
    """Return what a job of it is given; ``Refused`` where a submission of that would be."""
    known = resolved(template.variables, values, of=template.ref)
    limit = context.settings.api_max_body_bytes
    parameters = Filling(known, most_bytes=limit).filled(template.parameters)
    kind = get_kind(template.kind)
    repeating.check(kind, parameters, context)
    source = template.source or {}
    if not kind.needs_source:
        name = parameters.get("task_name")
        return Filled(
            template, parameters, {"name": name if isinstance(name, str) else template.ref}
        )
    # Its own blobs are kept as long as the template's row is used; a value may name another.
    own = source.get("blobs", [])
    baseline = parameters.get("baseline")
    if isinstance(baseline, str) and baseline not in own:
        more = repeating.kept({"blobs": []}, parameters, context)["blobs"]
        source = {**source, "blobs": [*own, *more]}
    return Filled(template, parameters, source)


def usable(ref: str) -> Template:
    """Return the version that is named, which has to be one of which jobs are made."""
    template = rows.get(ref)
    if template.retired_at is not None:
        raise _retired(template)
    return template


def _retired(template: Template) -> Refused:
    return Refused(f"The template {template.ref} is retired; no more jobs are made of it.")


def hold(template: Template) -> None:
    """Nobody retires the version, and lets its blobs go, until the transaction ends."""
    locked = " FOR SHARE" if dialect().postgres else ""
    if not execute(
        f"SELECT 1 FROM templates WHERE id = %s AND retired_at IS NULL{locked}", template.id.hex
    ):
        raise _retired(template)


def _used_before(ref: str, owner: str, key: str | None) -> str | None:
    """Return the version of which this key's job was made, None when it was of none of these."""
    name, version = split(ref)
    row = jobs.under_key(owner, key)
    told = {} if row is None else documents.mapping(row.labels, "labels")
    used = told.get(LABEL)
    if not isinstance(used, str) or used.partition("@")[0] != name:
        return None
    return used if version is None or used == ref else None
