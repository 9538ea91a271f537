"""API tokens, for admins: make, list, revoke."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core import api_tokens
from pipeline.core.api_tokens import MOST_LIFE_S, MOST_NAME, ApiToken, Role
from pipeline.web.bodies import LimitedRoute
from pipeline.web.callers import Admin
from pipeline.web.problems import responses

router = APIRouter(prefix="/tokens", tags=["admins"], route_class=LimitedRoute)


class TokenRequest(BaseModel):
    """The token that is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"owner": "ann", "role": "submitter", "name": "ci"}},
    )

    owner: Annotated[str, Field(min_length=1, max_length=MOST_NAME)] = Field(
        description="Whose jobs it submits and sees."
    )
    role: Role = Field(Role.SUBMITTER, description="What it may do.")
    name: Annotated[str, Field(max_length=MOST_NAME)] = Field("", description="What it is for.")
    expires_s: Annotated[float, Field(gt=0, le=MOST_LIFE_S)] | None = Field(
        None, description="Seconds until it is taken no more; null: it does not expire."
    )


class Token(BaseModel):
    """A token without itself."""

    id: uuid.UUID
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, told: ApiToken) -> "Token":
        """Return the row's form on the wire."""
        return cls(**{name: getattr(told, name) for name in cls.model_fields})


class NewToken(BaseModel):
    """A token that was made; nobody can tell it again."""

    token: str
    told: Token


@router.post("", status_code=201, responses=responses(401, 403, 408, 413))
def create_token(_: Admin, wanted: TokenRequest) -> NewToken:
    """Make a token; this answer alone holds it."""
    told, secret = api_tokens.create(
        wanted.owner, wanted.role, name=wanted.name, expires_s=wanted.expires_s
    )
    return NewToken(token=secret, told=Token.of(told))


@router.get("", responses=responses(401, 403))
def list_tokens(_: Admin) -> list[Token]:
    """Return every token, the newest first, revoked and expired ones too."""
    return [Token.of(each) for each in api_tokens.listed()]


@router.post("/{token_id}/revoke", responses=responses(401, 403, 404))
def revoke_token(_: Admin, token_id: uuid.UUID) -> Token:
    """The token is taken no more, in a few seconds everywhere; twice is once."""
    return Token.of(api_tokens.revoke(token_id))
