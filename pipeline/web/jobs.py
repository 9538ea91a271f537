"""Jobs: list, show, follow, cancel, run again."""

import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, AwareDatetime, Field

from pipeline.core import jobs
from pipeline.core.api_tokens import ApiToken, Role
from pipeline.core.live.cursor import MOST_TEXT
from pipeline.errors import NotFound
from pipeline.states import JobState
from pipeline.web import cursors, job_rows, streams, viewers
from pipeline.web.callers import Caller, sees
from pipeline.web.cursors import Cursor, Page
from pipeline.web.job_bodies import (
    MOST_LABELS,
    Changed,
    Event,
    Job,
    JobProgress,
    JobSummary,
    KindName,
    summary,
    whole,
)
from pipeline.web.problems import responses
from pipeline.web.service import Serving
from pipeline.web.viewers import Viewing

router = APIRouter(prefix="/jobs", tags=["jobs"])

Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of one page.")]
JobId = Annotated[uuid.UUID, Path(description="The id that the submission was answered.")]
Label = Annotated[str, Field(max_length=401, pattern=r"^[^=\x00]+=[^\x00]*$")]
OwnerName = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


def in_utc(moment: datetime) -> datetime:
    """Return the time in UTC; those at the ends of the calendar have none."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("There is no such time in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]


def visible(job_id: JobId, caller: Caller) -> uuid.UUID:
    """Return the id of a job that the caller may see; one of somebody else's is not there."""
    if not sees(caller, job_rows.owner(job_id)):
        raise NotFound(f"There is no job {job_id}.")
    return job_id


Visible = Annotated[uuid.UUID, Depends(visible)]


@router.get("", responses=responses(401, 403))
def list_jobs(
    caller: Caller,
    state: Annotated[list[JobState], Query(description="Only in these states.")] = [],  # noqa: B006
    kind: Annotated[KindName | None, Query(description="Only of this kind.")] = None,
    owner: Annotated[OwnerName | None, Query(description="Only of this owner.")] = None,
    label: Annotated[
        list[Label], Query(description="KEY=VALUE; all of them.", max_length=MOST_LABELS)
    ] = [],  # noqa: B006
    created_since: Annotated[Moment | None, Query(description="Not before.")] = None,
    created_until: Annotated[Moment | None, Query(description="Before.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[JobSummary]:
    """Return jobs, the newest first: one's own; for operators everybody's."""
    wanted = job_rows.Wanted(
        states=state,
        kind=kind,
        owner=owner if caller.role.may(Role.OPERATOR) else caller.owner,
        labels=[_pair(each) for each in label],
        since=created_since,
        until=created_until,
    )
    if owner not in (None, caller.owner) and not caller.role.may(Role.OPERATOR):
        return Page[JobSummary](items=[], next_cursor=None)
    before = None if cursor is None else cursors.row_id("jobs", cursor)
    rows = job_rows.page(wanted, before=before, limit=limit + 1)
    items = [summary(row) for row in rows[:limit]]
    more = cursors.written("jobs", items[-1].id) if len(rows) > limit else None
    return Page[JobSummary](items=items, next_cursor=more)


@router.get("/{job_id}", responses=responses(401, 404, 409))
def show_job(job_id: Visible, caller: Caller) -> Job:
    """Return the job with its documents."""
    return whole(jobs.get(job_id), reader=caller.owner)


@router.get("/{job_id}/progress", responses=responses(401, 404, 409))
def job_progress(job_id: Visible) -> JobProgress:
    """Return how far the job is, its rate and the time left."""
    return JobProgress(**asdict(jobs.progress(job_id)))


@router.get(
    "/{job_id}/events",
    response_model=Page[Event],
    responses={
        **responses(401, 404),
        200: {
            "description": "A page of the history, or the stream.",
            "content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        204: {"description": "A stream that was told to its end; there is no more of it."},
    },
)
async def job_events(
    job_id: JobId,
    request: Request,
    viewer: Viewing,
    service: Serving,
    cursor: Cursor = None,
    limit: Limit = 100,
    last_event_id: Annotated[
        str, Header(max_length=MOST_TEXT, description="A stream goes on after this `id`.")
    ] = "",
) -> Any:
    """Return the job's history, oldest first; with `Accept: text/event-stream` what happens to the
    job as it happens, from its begin or from `Last-Event-ID` on, to its end."""
    await to_thread.run_sync(viewers.check, viewer, job_id)
    if streams.is_wanted(request):
        return await streams.answer(request, service, viewer, job_id, last_event_id)
    return await to_thread.run_sync(_history, job_id, cursor, limit)


def _history(job_id: uuid.UUID, cursor: str | None, limit: int) -> Page[Event]:
    after = 0 if cursor is None else cursors.number("events", cursor)
    rows = job_rows.events(job_id, after=after, limit=limit + 1)
    items = [Event(**{name: row[name] for name in Event.model_fields}) for row in rows[:limit]]
    more = cursors.written("events", items[-1].id) if len(rows) > limit else None
    return Page[Event](items=items, next_cursor=more)


@router.post("/{job_id}/cancel", responses=responses(401, 404, 409))
def cancel_job(job_id: Visible, caller: Caller) -> Changed:
    """Cancel the job: what waits ends at once, what runs is stopped; twice is once."""
    changed = jobs.cancel(job_id, actor=actor(caller))
    return Changed(changed=changed, job=whole(jobs.get(job_id), reader=caller.owner))


@router.post(
    "/{job_id}/retry",
    status_code=201,
    responses=responses(401, 404, 409),
)
def retry_job(job_id: Visible, caller: Caller, service: Serving) -> Job:
    """Submit the ended job again as a new one; results that were reached are reused."""
    again = jobs.retry(job_id, service.context.settings, actor=actor(caller), heard=service.heard)
    return whole(jobs.get(again), reader=caller.owner)


def actor(caller: ApiToken) -> str:
    """Return how a job's history names the caller."""
    return caller.owner


def _pair(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value
