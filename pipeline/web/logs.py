"""What a job's containers wrote and left: the log in pieces, the output as an archive."""

import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from pipeline import jsontext
from pipeline.adapters.engines.model import LogEntry
from pipeline.core import jobs
from pipeline.errors import NotFound
from pipeline.kinds.container import logs, output
from pipeline.states import TERMINAL_JOB
from pipeline.store import spool
from pipeline.web.jobs import Visible
from pipeline.web.problems import responses
from pipeline.web.reports import Spooled
from pipeline.web.service import Service, Serving

router = APIRouter(prefix="/jobs", tags=["jobs"])

MOST_ENTRIES = 5000
#: Of the texts of one part; the entry that passes it is the last.
MOST_BYTES = 1024 * 1024
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
async def job_logs(
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

    def read() -> Log:
        has_ended = jobs.get(job_id).state in TERMINAL_JOB
        entries = logs.entries(job_id, service.context, since=since)
        part = _part(entries, stream, since, limit)
        return part.model_copy(update={"complete": part.complete and has_ended})

    return await service.readings.run(read)


def _part(entries: Iterable[LogEntry], stream: str | None, since: str, limit: int) -> Log:
    """Return the entries up to a limit, of their number or of their size."""
    items: list[Entry] = []
    size_bytes = 0
    for number, entry in enumerate(entries):
        if number == limit or size_bytes >= MOST_BYTES:
            return Log(items=items, next_since=since, complete=False)
        since = entry.timestamp
        if stream in (None, entry.stream):
            text = entry.data.decode("utf-8", "backslashreplace")
            size_bytes += len(jsontext.encoded(text))
            told: Literal["stdout", "stderr"] = "stdout" if entry.stream == "stdout" else "stderr"
            items.append(Entry(timestamp=since, stream=told, text=text))
    return Log(items=items, next_since=since, complete=True)


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
async def job_output(job_id: Visible, service: Serving) -> Response:
    """Return what the job's container left in its output folder, as a tar archive."""
    return await service.readings.run(lambda: _output(job_id, service))


def _output(job_id: uuid.UUID, service: Service) -> Response:
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
