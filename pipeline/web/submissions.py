"""POST /jobs: a form with a file, an archive itself, or JSON for kinds that need no file."""

import uuid
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from pipeline.core import jobs
from pipeline.core.kinds import get_kind
from pipeline.settings import MOST_S
from pipeline.web.bodies import LimitedRequest, check_length, document, mistake, unkept
from pipeline.web.callers import Caller
from pipeline.web.forms import Form
from pipeline.web.job_bodies import MOST_LABELS, Job, JobRequest, KindName, Name, whole
from pipeline.web.jobs import Label
from pipeline.web.problems import HttpProblem, responses
from pipeline.web.service import Service, Serving
from pipeline.web.submitting import Submitting, parameters_of, read_request
from pipeline.web.uploads import UploadBody

router = APIRouter(prefix="/jobs", tags=["jobs"])

ARCHIVES = (
    *("application/zip", "application/x-zip-compressed", "application/x-tar"),
    *("application/gzip", "application/x-gzip", "application/octet-stream"),
)
OWN_QUERY = frozenset({"kind", "parameters", "priority", "label", "deadline_s", "name"})
#: What a form may hold beside its file.
FORM_ROOM_BYTES = 64 * 1024 * 1024

IdempotencyKey = Annotated[
    Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")] | None,
    Header(description="The same key and request again is the same job, not another one."),
]
#: What OpenAPI says of an answer that a job is kept.
LOCATION = {"Location": {"description": "The job's address.", "schema": {"type": "string"}}}

_CONTAINER = {
    "kind": "container",
    "parameters": {
        "task_name": "shop",
        "task_type": "custom",
        "docker_image": "data-collection-crawler:latest",
    },
    "labels": {"team": "web"},
}
_CALL = {
    "kind": "service",
    "parameters": {
        **{"mode": "chat", "service": "text_analyzer", "task": "analyze_text"},
        "input": {"text": "The service was quick and friendly."},
        "context": {"language": "en"},
    },
}
_STEPS = {
    "kind": "heavy_service",
    "parameters": {
        "steps": [
            {
                **{"name": "text", "mode": "document", "service": "doc_generator"},
                "task": "generate_document",
                "input": {"topic": "Queues", "length": "800 words", "style": "plain"},
                "context": {"template": "report", "references": True},
            },
            {
                **{"name": "words", "mode": "text", "service": "statistics", "task": "count"},
                "needs": ["text"],
                "input": {"text": {"$from": "text", "path": "text"}},
            },
        ]
    },
}
_JSON = {
    "schema": {"$ref": "#/components/schemas/JobRequest"},
    "examples": {
        "container": {"summary": "A container job", "value": _CONTAINER},
        "service": {"summary": "A call of a service", "value": _CALL},
        "heavy_service": {"summary": "Calls that need one another", "value": _STEPS},
    },
}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["request"],
        "properties": {
            "request": {"$ref": "#/components/schemas/JobRequest"},
            "file": {"type": "string", "format": "binary", "description": "The archive."},
            "baseline": {
                "type": "string",
                "format": "binary",
                "description": "sql_lint: the violations that are known.",
            },
        },
    },
    "encoding": {"request": {"contentType": "application/json"}},
}
_ARCHIVE = {"schema": {"type": "string", "format": "binary"}}
BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _FORM,
            "application/json": _JSON,
            **dict.fromkeys(ARCHIVES, _ARCHIVE),
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=Job,
    responses={
        **responses(400, 401, 408, 409, 413, 415),
        201: {
            "description": "The job is kept; it will run.",
            "headers": LOCATION,
        },
    },
    openapi_extra=BODIES,
)
async def submit_job(
    request: Request,
    response: Response,
    caller: Caller,
    service: Serving,
    kind: Annotated[KindName | None, Query(description="Raw bodies: the kind.")] = None,
    parameters: Annotated[
        str | None,
        Query(description="Raw bodies: the parameters, a JSON object.", max_length=100_000),
    ] = None,
    priority: Annotated[int, Query(ge=0, le=9, description="Raw bodies: 9 is urgent.")] = 5,
    label: Annotated[
        list[Label], Query(description="Raw bodies: KEY=VALUE.", max_length=MOST_LABELS)
    ] = [],  # noqa: B006
    deadline_s: Annotated[
        float | None, Query(gt=0, le=MOST_S, description="Raw bodies: its deadline.")
    ] = None,
    name: Annotated[Name | None, Query(description="Raw bodies: the file's name.")] = None,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Submit a job; once this answers 201 it is kept and will end.

    With a raw body everything else stands in the query: further names there are parameters, as
    `?kind=sql_lint&dialect=postgres&reports=json&reports=sarif`.
    """
    submitting = Submitting(service, owner=caller.owner, idempotency_key=idempotency_key)
    form = request.headers.get("content-type", "")
    media_type = form.partition(";")[0].strip().lower()
    if media_type == "application/json":
        told = await LimitedRequest(request.scope, request.receive).body()
        job_id = await run_in_threadpool(lambda: submitting.alone(read_request(told)))
    elif media_type == "multipart/form-data":
        job_id = await _uploaded(
            *(request, service, caller.owner, FORM_ROOM_BYTES),
            lambda body: submitting.form(Form(body, form)),
        )
    elif media_type in ARCHIVES:
        extra = [each for each in request.query_params.multi_items() if each[0] not in OWN_QUERY]
        wanted = _raw_request(kind, parameters, extra, dict(_labels(label)))
        wanted = wanted.model_copy(
            update={"priority": priority, "deadline_s": deadline_s, "name": name}
        )
        job_id = await _uploaded(
            *(request, service, caller.owner, 0), lambda body: submitting.raw(wanted, body)
        )
    else:
        raise HttpProblem(
            415, "A job comes as multipart/form-data, application/json or an archive."
        )
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return await run_in_threadpool(lambda: whole(jobs.get(job_id), reader=caller.owner))


async def _uploaded(
    request: Request,
    service: Service,
    owner: str,
    room: int,
    submit: Callable[[UploadBody], uuid.UUID],
) -> uuid.UUID:
    """Run the submission in a thread of the uploads', where there is one."""
    settings = service.context.settings
    check_length(request, settings.max_source_bytes + room, "QUAYLINE_MAX_SOURCE_BYTES")
    body = UploadBody(request, service.figures, patience_s=settings.api_patience_s)
    return await service.uploads.run(lambda: submit(body), owner=owner)


def _raw_request(
    kind: str | None,
    parameters: str | None,
    extra: list[tuple[str, str]],
    labels: dict[str, str],
) -> JobRequest:
    if kind is None:
        raise mistake("A raw body needs ?kind= in the query", "query", "kind")
    told = document((parameters or "{}").encode(), "query", "parameters")
    if not isinstance(told, dict):
        raise mistake("No JSON object", "query", "parameters")
    told = {**told, **parameters_of(get_kind(kind), extra)}
    if why := unkept(told):
        raise mistake(why, "query")
    try:
        return JobRequest(kind=kind, parameters=told, labels=labels)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error


def _labels(told: list[str]) -> list[tuple[str, str]]:
    pairs = [each.partition("=") for each in told]
    return [(key, value) for key, _, value in pairs]
