"""What an API collector may be told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.collect.config.fields import (
    MIB,
    Address,
    HeaderName,
    HttpUrl,
    OutputFormat,
    Secret,
    Some,
    Strict,
)


class NoAuth(Strict):
    """The API is open."""

    type: Literal["none"] = "none"


class BasicAuth(Strict):
    """User and password in each request."""

    type: Literal["basic"]
    username: Secret
    password: Secret


class BearerAuth(Strict):
    """A token in each request."""

    type: Literal["bearer"]
    token: Secret


class ApiKeyAuth(Strict):
    """A key in a header or a query parameter."""

    type: Literal["api_key"]
    key: Secret
    location: Literal["header", "query"] = "header"
    name: HeaderName = "X-API-Key"


class OAuth2Auth(Strict):
    """OAuth 2 client credentials (RFC 6749 section 4.4); the token is renewed before it ends."""

    type: Literal["oauth2"]
    token_url: HttpUrl
    client_id: Secret
    client_secret: Secret
    scope: Some | None = None
    audience: Some | None = None
    credentials_in: Literal["header", "body"] = "header"


class NoPages(Strict):
    """One request has all records."""

    type: Literal["none"] = "none"


class PageNumbers(Strict):
    """`?page=1`, `?page=2`, …, until a page has no records."""

    type: Literal["page"]
    param: Some = "page"
    start: int = Field(1, ge=0)
    size_param: Some | None = None
    size: int = Field(100, ge=1)
    total_pages_path: Some | None = Field(None, description="JSON path of the number of pages.")


class Offsets(Strict):
    """`?offset=0&limit=100`, …; the offset grows by the records that really came."""

    type: Literal["offset"]
    param: Some = "offset"
    start: int = Field(0, ge=0)
    size_param: Some | None = "limit"
    size: int = Field(100, ge=1)
    total_path: Some | None = Field(None, description="JSON path of the number of records.")


class Cursors(Strict):
    """Each answer says the cursor of the next page; no cursor is the end."""

    type: Literal["cursor"]
    param: Some = "cursor"
    cursor_path: Some = Field("$.next_cursor", description="JSON path of the next cursor.")
    has_more_path: Some | None = Field(None, description="JSON path of a boolean: go on.")
    size_param: Some | None = None
    size: int = Field(100, ge=1)


class Links(Strict):
    """Each answer says the next page's URL: Link header (RFC 8288), or in the document."""

    type: Literal["link"]
    next_path: Some | None = Field(None, description="JSON path of the URL; default: header.")
    relation: Some = "next"


Auth = NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth
Pagination = NoPages | PageNumbers | Offsets | Cursors | Links
Scalar = str | bool | int | float
FieldName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00\n]+$")]


class ApiConfig(Strict):
    """An endpoint, how to be let in, how to leaf through it, and what to keep."""

    endpoint: Address = Field(description="Whole URL, or relative to base_url.")
    method: Literal["GET", "POST"] = "GET"
    headers: dict[HeaderName, Secret] = Field(default_factory=dict, max_length=100)
    params: dict[Some, Scalar | Secret] = Field(default_factory=dict, max_length=100)
    body: dict[str, Any] | None = Field(None, description="JSON of a POST; pages go in here.")
    auth: Annotated[Auth, Field(discriminator="type")] = Field(default_factory=NoAuth)
    pagination: Annotated[Pagination, Field(discriminator="type")] = Field(default_factory=NoPages)
    records_path: Some = Field("$", description="JSON path of the records; lists are opened.")
    data_fields: (
        Annotated[list[FieldName], Field(max_length=1000)]
        | Annotated[dict[FieldName, Some], Field(max_length=1000)]
    ) = Field(default_factory=list, description="Names, or names with JSON paths; default: all.")
    unique_by: list[Some] = Field(
        default_factory=list, max_length=20, description="JSON paths that tell records apart."
    )
    output_format: OutputFormat = "json"
    requests_per_second: float = Field(5.0, gt=0, le=10_000)
    timeout_s: float = Field(30.0, gt=0, le=600, description="For one answer, with its body.")
    max_retries: int = Field(5, ge=0, le=20)
    max_retry_after_s: float = Field(300.0, ge=0, le=86_400)
    max_pages: int = Field(10_000, ge=1, le=100_000_000)
    max_records: int = Field(10_000_000, ge=1, le=10_000_000_000)
    max_answer_bytes: int = Field(32 * MIB, ge=1024, le=1024 * MIB)
