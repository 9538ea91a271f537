"""What a job's tasks produced: in pages, or all of it as one stream of lines."""

import uuid
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from starlette.responses import StreamingResponse

from pipeline import jsontext
from pipeline.core import jobs
from pipeline.states import TaskState
from pipeline.store.database import as_uuid
from pipeline.web import cursors, job_rows
from pipeline.web.cursors import Cursor, Page
from pipeline.web.job_bodies import TaskResult
from pipeline.web.jobs import Limit, Visible
from pipeline.web.problems import responses

router = APIRouter(prefix="/jobs", tags=["jobs"])

LINES = "application/x-ndjson"
#: A line alone would cost a change of threads.
PIECE_BYTES = 64 * 1024


@router.get(
    "/{job_id}/results",
    response_model=Page[TaskResult],
    responses={
        **responses(401, 404),
        200: {
            "description": "A page of tasks; with `Accept: application/x-ndjson` all of them, one"
            " a line.",
            "content": {LINES: {"schema": {"type": "string"}}},
        },
    },
)
def job_results(
    job_id: Visible,
    state: Annotated[TaskState | None, Query(description="Only tasks in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
    accept: Annotated[str, Header(description=f"{LINES} for a stream.")] = "",
) -> Response:
    """Return the job's tasks in order, each with its result document."""
    if LINES in accept.lower():
        return StreamingResponse(_lines(job_id, state), media_type=LINES)
    after = -1 if cursor is None else cursors.number("results", cursor)
    rows = job_rows.tasks(job_id, after=after, limit=limit + 1, state=state)
    items = rows[:limit]
    more = cursors.written("results", items[-1]["seq"]) if len(rows) > limit else None
    content = jsontext.encoded({"items": items, "next_cursor": more})
    return Response(content, media_type="application/json")


def _lines(job_id: uuid.UUID, state: TaskState | None) -> Iterator[bytes]:
    piece, size = [], 0
    for task in jobs.tasks(job_id):
        if state is not None and task["state"] != state:
            continue
        line = jsontext.encoded({**task, "id": as_uuid(task["id"])})
        piece.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"\n".join([*piece, b""])
            piece, size = [], 0
    if piece:
        yield b"\n".join([*piece, b""])
