"""Messages that no worker could take, for operators: look, send again, throw away."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core import dead_letters
from pipeline.store.database import session
from pipeline.store.models import DeadLetterRow
from pipeline.web import cursors
from pipeline.web.bodies import LimitedRoute, mistake
from pipeline.web.callers import Operator
from pipeline.web.cursors import Cursor, Page
from pipeline.web.jobs import Limit
from pipeline.web.problems import responses
from pipeline.web.service import Serving

router = APIRouter(prefix="/dead-letters", tags=["operators"], route_class=LimitedRoute)

MOST_BODY = 64 * 1024


class DeadLetter(BaseModel):
    """A message that was set aside."""

    id: uuid.UUID
    queue: str
    actor: str | None
    reason: str = Field(description="undecodable, unknown_actor, other_form or failed.")
    found_at: datetime
    replayed_at: datetime | None


class WholeDeadLetter(DeadLetter):
    """A message that was set aside, with its content."""

    not_taken: str = Field(description="What its actor does not take; empty: it takes all.")
    body: str = Field(description="As it came; what is no text is escaped, what is long is cut.")


class Purge(BaseModel):
    """Which dead letters to throw away."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"ids": ["0193f7c2-7a51-7cc0-8f3e-0f4b3f6f2a10"]}},
    )

    ids: Annotated[list[uuid.UUID], Field(max_length=1000)] = Field(
        default_factory=list, description="These."
    )
    everything: bool = Field(False, description="All of them.")


class Purged(BaseModel):
    """How many were thrown away."""

    purged: int


@router.get("", responses=responses(401, 403))
def list_letters(
    _: Operator, service: Serving, cursor: Cursor = None, limit: Limit = 100
) -> Page[DeadLetter]:
    """Return them, the newest first; those still in RabbitMQ are taken in before."""
    if cursor is None and not service.context.settings.embedded:
        dead_letters.take_in()
    query = DeadLetterRow.select().order_by(DeadLetterRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(DeadLetterRow.id < cursors.row_id("letters", cursor))
    with session():
        rows = list(query)
    items = [DeadLetter(**_common(row)) for row in rows[:limit]]
    more = cursors.written("letters", items[-1].id) if len(rows) > limit else None
    return Page[DeadLetter](items=items, next_cursor=more)


@router.get("/{letter_id}", responses=responses(401, 403, 404))
def show_letter(_: Operator, letter_id: uuid.UUID) -> WholeDeadLetter:
    """Return one with its content."""
    row = dead_letters.get(str(letter_id))
    body = bytes(row.body)[:MOST_BODY].decode("utf-8", "backslashreplace")
    return WholeDeadLetter(**_common(row), not_taken=dead_letters.misfit(row), body=body)


@router.post("/{letter_id}/replay", responses=responses(401, 403, 404))
def replay_letter(_: Operator, letter_id: uuid.UUID) -> DeadLetter:
    """Send it again as a new message; the row stays and says when."""
    dead_letters.replay(str(letter_id))
    return DeadLetter(**_common(dead_letters.get(str(letter_id))))


@router.delete(
    "/{letter_id}",
    status_code=204,
    response_class=Response,
    responses=responses(401, 403, 404),
)
def delete_letter(_: Operator, letter_id: uuid.UUID) -> Response:
    """Throw it away."""
    dead_letters.purge([str(letter_id)])
    return Response(status_code=204)


@router.post("/purge", responses=responses(401, 403, 404, 408, 413))
def purge_letters(_: Operator, told: Purge) -> Purged:
    """Throw several away: those named, or everything."""
    if bool(told.ids) == told.everything:
        raise mistake("Name the dead letters to throw away, or say everything", "body")
    ids = None if told.everything else [str(each) for each in told.ids]
    return Purged(purged=dead_letters.purge(ids))


def _common(row: DeadLetterRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in DeadLetter.model_fields}
