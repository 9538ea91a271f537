"""Templates: operators make and retire versions, everybody looks at them and submits jobs."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from pipeline.core import jobs
from pipeline.core.repeating import NAME
from pipeline.core.templates import book, rows, submitting
from pipeline.core.templates.ref import REF
from pipeline.core.templates.spec import TemplateJob, TemplateRequest
from pipeline.core.templates.variables import Variable
from pipeline.web import cursors
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Caller, Operator
from pipeline.web.cursors import Cursor, Page
from pipeline.web.job_bodies import Job, whole
from pipeline.web.jobs import Limit
from pipeline.web.problems import responses
from pipeline.web.service import Serving
from pipeline.web.submissions import LOCATION, IdempotencyKey

router = APIRouter(prefix="/templates", tags=["templates"], route_class=LimitedRoute)

Name = Annotated[str, Path(pattern=NAME, description="The template's name.")]
Ref = Annotated[
    str,
    Path(
        pattern=REF,
        description="`NAME`: the newest version that is not retired; `NAME@3`: that one.",
    ),
]


class Template(BaseModel):
    """One version of a template."""

    id: uuid.UUID
    name: str
    version: int
    owner: str = Field(description="Who made it.")
    kind: str
    parameters: dict[str, Any] = Field(description="The kind's own, with placeholders.")
    variables: dict[str, Variable]
    source: dict[str, Any] | None
    priority: int
    labels: dict[str, Any]
    deadline_s: float | None
    description: str
    created_at: datetime
    retired_at: datetime | None = Field(description="Since then no more jobs are made of it.")

    @classmethod
    def of(cls, told: rows.Template) -> "Template":
        """Return the version's form on the wire."""
        return cls(**{name: getattr(told, name) for name in cls.model_fields})


class Retired(BaseModel):
    """What was retired by a request."""

    versions: list[str] = Field(description="NAME@VERSION; empty: they were retired before.")


@router.get("", responses=responses(401))
def list_templates(_: Caller, cursor: Cursor = None, limit: Limit = 100) -> Page[Template]:
    """Return the newest version of each that is not retired, by name."""
    after = "" if cursor is None else cursors.read("templates", cursor)
    found = rows.listed(after=after, limit=limit + 1)
    items = [Template.of(each) for each in found[:limit]]
    more = cursors.written("templates", items[-1].name) if len(found) > limit else None
    return Page[Template](items=items, next_cursor=more)


@router.post("", status_code=201, responses=responses(401, 403, 404, 408, 409, 413))
def create_template(caller: Operator, service: Serving, wanted: TemplateRequest) -> Template:
    """Store a new version; the same again as the newest version is that one, and no new one."""
    return Template.of(book.create(wanted, service.context, owner=caller.owner))


@router.get("/{ref}", responses=responses(401, 404, 409))
def show_template(_: Caller, ref: Ref) -> Template:
    """Return one version."""
    return Template.of(rows.get(ref))


@router.get("/{name}/versions", responses=responses(401, 404))
def list_versions(
    _: Caller, name: Name, cursor: Cursor = None, limit: Limit = 100
) -> Page[Template]:
    """Return the versions of one, the newest first, retired ones too."""
    before = None if cursor is None else cursors.number("versions", cursor)
    found = rows.versions(name, before=before, limit=limit + 1)
    items = [Template.of(each) for each in found[:limit]]
    more = cursors.written("versions", items[-1].version) if len(found) > limit else None
    return Page[Template](items=items, next_cursor=more)


@router.post("/{ref}/retire", responses=responses(401, 403, 404))
def retire_template(_: Operator, ref: Ref) -> Retired:
    """Let no more jobs be made of that version, or of any; jobs that were made stay."""
    return Retired(versions=book.retire(ref))


@router.post(
    "/{ref}/jobs",
    status_code=201,
    responses={
        **responses(401, 404, 408, 409, 413),
        201: {"description": "The job is kept; it will run.", "headers": LOCATION},
    },
)
def submit_template(
    caller: Caller,
    service: Serving,
    response: Response,
    ref: Ref,
    wanted: TemplateJob,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Submit a job of it; its label `template` names the version that was used."""
    job_id = submitting.submit(
        *(ref, wanted, service.context),
        owner=caller.owner,
        idempotency_key=idempotency_key,
        heard=service.heard,
    )
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return whole(jobs.get(job_id), reader=caller.owner)
