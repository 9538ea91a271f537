"""What a job's containers wrote and left: the log in pieces, the output as an archive."""

from contextlib import ExitStack
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from pipeline.core import jobs
from pipeline.errors import NotFound
from pipeline.kinds.container import logs, output
from pipeline.states import TERMINAL_JOB
from pipeline.store import spool
from pipeline.web.jobs import Visible
from pipeline.web.problems import responses
from pipeline.web.reports import Spooled
from pipeline.web.service import Serving

router = APIRouter(prefix="/jobs", tags=["jobs"])

MOST_ENTRIES = 5000
TAR = "application/x-tar"


class Entry(BaseModel):
    """A line, or a piece of a long one."""

    timestamp: str = Field(description="RFC 3339, nanoseconds; it grows from entry to entry.")
    stream: Literal["stdout", "stderr"]
    text: str = Field(description="With its line's end, if any; what is no UTF-8 is escaped.")


class Log(BaseModel):
    """A part of a log; ask again with ``since=next_since`` until ``complete``."""

    items: list[Entry]
    next_since: str = Field(description="The time of the last entry that was seen.")
    complete: bool = Field(description="The job has ended, and this is the end of its log.")


@router.get("/{job_id}/logs", responses=responses(401, 404))
def job_logs(
    job_id: Visible,
    service: Serving,
    since: Annotated[
        str,
        Query(max_length=40, pattern=r"^[0-9TZ:.\-]*$", description="`next_since` of the last."),
    ] = "",
    stream: Annotated[
        Literal["stdout", "stderr"] | None, Query(description="Only this stream.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES, description="Most entries.")] = 1000,
) -> Log:
    """Return what the job's containers wrote after that time, also while they run."""
    has_ended = jobs.get(job_id).state in TERMINAL_JOB
    read = list(islice(logs.entries(job_id, service.context, since=since), limit + 1))
    items = [
        Entry(
            timestamp=entry.timestamp,
            stream="stdout" if entry.stream == "stdout" else "stderr",
            text=entry.data.decode("utf-8", "backslashreplace"),
        )
        for entry in read[:limit]
        if stream in (None, entry.stream)
    ]
    last = read[:limit][-1].timestamp if read else since
    return Log(items=items, next_since=last, complete=has_ended and len(read) <= limit)


@router.get(
    "/{job_id}/output",
    response_class=Response,
    responses={
        **responses(401, 404),
        200: {
            "description": "The output files of the job's container.",
            "content": {TAR: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
def job_output(job_id: Visible, service: Serving) -> Response:
    """Return what the job's container left in its output folder, as a tar archive."""
    if jobs.get(job_id).kind != "container":
        raise NotFound("Only container jobs have output files.")
    with ExitStack() as stack:
        file = stack.enter_context(spool.spooled())
        output.write(job_id, file, service.context)
        headers = {
            "Content-Length": str(file.tell()),
            "Content-Disposition": f'attachment; filename="{job_id}.tar"',
        }
        file.seek(0)
        kept = stack.pop_all()
    return Spooled(file, kept, media_type=TAR, headers=headers)
