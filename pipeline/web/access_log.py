"""The access log, for operators: who asked for what, how it was answered, how quickly."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from pipeline import clock
from pipeline.core import access_log
from pipeline.core.access_log import MOST_PATH, MOST_TEXT, Wanted
from pipeline.web import cursors
from pipeline.web.bodies import LimitedRoute, mistake
from pipeline.web.callers import Operator
from pipeline.web.cursors import Cursor, Page
from pipeline.web.jobs import Limit
from pipeline.web.problems import responses

router = APIRouter(prefix="/access-log", tags=["operators"], route_class=LimitedRoute)

#: What is looked through when nobody says since when.
DEFAULT_SPAN = timedelta(days=1)
#: Before and after these no UUIDv7 and no calendar of a database goes.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

Text = Annotated[str | None, Query(max_length=MOST_TEXT, pattern=r"^[^\x00]*$")]
SINCE = "Not before: a time with its zone, as 2026-11-01T00:00:00Z."


class Request(BaseModel):
    """A request that was answered."""

    id: uuid.UUID
    at: datetime = Field(description="When it came, by the clock of the API.")
    method: str
    path: str = Field(description="Without its query; what may be a token is blanked out.")
    route: str = Field(description="The address as it is declared, or `unmatched`.")
    status_code: int = Field(description="0: its client had left.")
    response_time_ms: float
    user_id: str | None = Field(description="The owner of the token; null: none was shown.")
    resource_type: str | None
    resource_id: str | None
    ip_address: str | None
    request_id: str
    user_agent: str | None


@router.get("", responses=responses(401, 403))
def list_requests(
    _: Operator,
    since: Annotated[AwareDatetime | None, Query(alias="from", description=SINCE)] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Before.")] = None,
    user_id: Text = None,
    method: Text = None,
    path_prefix: Annotated[str | None, Query(max_length=MOST_PATH, pattern=r"^[^\x00]*$")] = None,
    status_class: Annotated[
        int | None, Query(ge=0, le=9, description="4: those answered by 400 to 499.")
    ] = None,
    resource_type: Text = None,
    resource_id: Text = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Request]:
    """Return requests, the newest first: of the day before `to`, where there is no `from`."""
    wanted = Wanted(
        *_span(since, until),
        user_id=user_id,
        method=method,
        path_prefix=path_prefix,
        status_class=status_class,
        resource_type=resource_type,
        resource_id=resource_id,
    )
    before = None if cursor is None else cursors.row_id("requests", cursor)
    found = access_log.listed(wanted, before=before, limit=limit + 1)
    items = [
        Request(**{name: getattr(each, name) for name in Request.model_fields})
        for each in found[:limit]
    ]
    more = cursors.written("requests", items[-1].id) if len(found) > limit else None
    return Page[Request](items=items, next_cursor=more)


def _span(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    last = until or clock.now() + timedelta(minutes=1)
    first = since or max(EARLIEST, last - DEFAULT_SPAN)
    if not EARLIEST <= first <= last <= LATEST:
        raise mistake(
            "The time has to begin before it ends, between 1970 and 2100", "query", "from"
        )
    return first, last
