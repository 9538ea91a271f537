"""The reports of a job, in every form that its kind can write."""

import importlib
import uuid
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline.core import jobs
from pipeline.core.kinds import Kind, get_kind
from pipeline.errors import Conflict, NotFound
from pipeline.states import TERMINAL_JOB
from pipeline.store import spool
from pipeline.web.jobs import Visible
from pipeline.web.problems import responses
from pipeline.web.service import Service, Serving

router = APIRouter(prefix="/jobs", tags=["jobs"])

PIECE_BYTES = 256 * 1024
#: A report repeats what strangers wrote. Opened in a browser it runs in a place of its own.
POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; img-src data:"
)


class ReportName(BaseModel):
    """A report that can be had."""

    name: str
    media_type: str


class Spooled(StreamingResponse):
    """A response whose content lies in an open file; that is closed however the response ends."""

    def __init__(self, file: Any, stack: ExitStack, **told: Any) -> None:
        super().__init__(iter(lambda: file.read(PIECE_BYTES), b""), **told)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._stack:
            await super().__call__(scope, receive, send)


@router.get("/{job_id}/reports", responses=responses(401, 404))
def list_reports(job_id: Visible) -> list[ReportName]:
    """Return the reports that the job's kind can write."""
    kind = get_kind(jobs.get(job_id).kind)
    return [ReportName(name=each.name, media_type=each.media_type) for each in _formats(kind)]


@router.get(
    "/{job_id}/reports/{name}",
    response_class=Response,
    responses={
        **responses(401, 404, 409),
        200: {
            "description": "The report, in the media type of its form.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def job_report(
    job_id: Visible,
    name: Annotated[str, Path(max_length=64, description="json, sarif, junit, html, …")],
    service: Serving,
) -> Response:
    """Return one report of the ended job: the stored one, or one made now."""
    return await service.readings.run(lambda: _report(job_id, name, service))


def _report(job_id: uuid.UUID, name: str, service: Service) -> Response:
    row = jobs.get(job_id)
    kind = get_kind(row.kind)
    form = next((each for each in _formats(kind) if each.name == name), None)
    if form is None:
        names = ", ".join(each.name for each in _formats(kind)) or "none"
        raise NotFound(f"A job of the kind {kind.name} has no such report; there are: {names}.")
    if row.state not in TERMINAL_JOB:
        raise Conflict(f"The job is still {row.state}; its reports come at its end.")
    finish = importlib.import_module(f"{kind.package}.finish")
    with ExitStack() as stack:
        file = stack.enter_context(spool.spooled())
        finish.write_report(row, name, file, service.context.blobs)
        headers = {
            "Content-Length": str(file.tell()),
            "Content-Disposition": f'attachment; filename="{job_id}{form.suffix}"',
            "Content-Security-Policy": POLICY,
        }
        file.seek(0)
        kept = stack.pop_all()
    return Spooled(file, kept, media_type=form.media_type, headers=headers)


def _formats(kind: Kind) -> list[Any]:
    """Return the forms of the kind's package ``reports``, if it has one."""
    try:
        module = importlib.import_module(f"{kind.package}.reports")
    except ModuleNotFoundError as error:
        if error.name != f"{kind.package}.reports":
            raise
        return []
    return list(module.FORMATS.values())
