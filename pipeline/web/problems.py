"""Errors as RFC 9457 has them: every answer that is no success is ``application/problem+json``."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from pipeline import jsontext
from pipeline.errors import (
    Conflict,
    DatabaseUnavailable,
    NotFound,
    Permanent,
    QuaylineError,
    Refused,
    StorageUnavailable,
    Transient,
)
from pipeline.states import Reason
from pipeline.web import addresses

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: An answer tells so many mistakes of one request; the first ones are mended first.
MOST_ERRORS = 20
RETRY_AFTER_S = 1

#: Where the status alone says why.
REASONS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    415: "unsupported",
    422: "bad_request",
    500: "error",
    503: "unavailable",
}


class FieldError(BaseModel):
    """One mistake: where in the request, and what."""

    place: str = Field(description="Where: body, query, path or header, then the names in it.")
    detail: str = Field(description="What is wrong there.")


class Problem(BaseModel):
    """What went wrong, for programs (``reason``) and for people (``detail``)."""

    type: str = Field(description="urn:quayline:problem: and the reason.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="One sentence to act on.")
    reason: str = Field(description="The closed code of what happened.")
    request_id: str | None = Field(None, description="What the log calls this request.")
    errors: list[FieldError] | None = Field(None, description="Each mistake, of a 422.")


class HttpProblem(Exception):
    """Raised for an error of HTTP itself: no token, no right, too slow, too many."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        reason: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason or REASONS[status]
        self.headers = headers


def unauthenticated(detail: str) -> HttpProblem:
    """Return the error of a request without a token that we know."""
    return HttpProblem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="quayline"'})


def too_busy(detail: str) -> HttpProblem:
    """Return the error of a request for which there is no room now."""
    return HttpProblem(503, detail, reason="busy", headers={"Retry-After": str(RETRY_AFTER_S)})


def answer(
    status: int,
    detail: str,
    reason: str,
    *,
    request_id: str | None = None,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the problem as a response."""
    problem = Problem(
        type=f"urn:quayline:problem:{reason}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        reason=reason,
        request_id=request_id,
        errors=None if errors is None else list(errors),
    )
    content = jsontext.encoded(problem.model_dump(exclude_none=True))
    return Response(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these statuses, and of those that every route has."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema, "example": _example(status)}},
        }
        for status in sorted({*statuses, 422, 500, 503})
    }


def install(app: FastAPI) -> None:
    """Every error of a route is answered as a problem."""
    handlers: dict[type[Exception], Any] = {
        RequestValidationError: _invalid,
        HTTPException: _http_error,
        HttpProblem: _http_problem,
        QuaylineError: _own_error,
        ClientDisconnect: _gone,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    told = [field_error(each) for each in error.errors()[:MOST_ERRORS]]
    detail = f"{told[0].place}: {told[0].detail}" if told else "The request is not understood."
    return answer(422, detail, "bad_request", request_id=request_id_of(request), errors=told)


def field_error(told: Mapping[str, Any]) -> FieldError:
    """Return one error of pydantic without the input, which may be anything."""
    if told["type"] == "json_invalid":
        return FieldError(place="body", detail=shown(str(told["ctx"]["error"])))
    place = ".".join(str(part) for part in told["loc"])
    detail = str(told["msg"]).removeprefix("Value error, ")
    return FieldError(place=shown(place), detail=shown(detail))


async def _http_error(request: Request, error: HTTPException) -> Response:
    told = {
        404: "There is nothing at this address.",
        405: "This address does not know that method.",
    }
    detail = told.get(error.status_code) or str(error.detail)
    headers = error.headers if error.status_code != 405 else {"Allow": _methods(request)}
    return answer(
        *(error.status_code, detail, REASONS.get(error.status_code, "error")),
        request_id=request_id_of(request),
        headers=headers,
    )


def _methods(request: Request) -> str:
    """Return what may be done at the address: its routes know one method each."""
    known = request.app.openapi()["paths"].get(addresses.declared(request.scope), {"get": None})
    return ", ".join(sorted(method.upper() for method in known))


async def _http_problem(request: Request, error: HttpProblem) -> Response:
    return answer(
        *(error.status, error.detail, error.reason),
        request_id=request_id_of(request),
        headers=error.headers,
    )


async def _own_error(request: Request, error: QuaylineError) -> Response:
    status = status_of(error)
    if status >= 500:
        log.error("A request failed", extra={"error": error.message, "reason": error.reason})
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    reason = "unavailable" if status == 503 and error.reason == Reason.ERROR else str(error.reason)
    return answer(
        *(status, outside(error), reason), request_id=request_id_of(request), headers=headers
    )


def outside(error: QuaylineError) -> str:
    """Return what anybody may be told; what is ours to mend names our addresses: the log has it."""
    if isinstance(error, DatabaseUnavailable):
        return "The database does not answer."
    if isinstance(error, StorageUnavailable):
        return "The blob storage does not work."
    if isinstance(error, Transient):
        return "Something that is needed does not answer; send it again in a moment."
    return EXAMPLES[500] if status_of(error) == 500 else shown(error.message)


def status_of(error: QuaylineError) -> int:
    """Return the HTTP status that says the same as the error."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Conflict):
        return 409
    if isinstance(error, Refused):
        return 413 if error.reason == Reason.TOO_LARGE else 422
    if isinstance(error, Transient):
        return 503
    # A row that this version cannot read: no repetition of the request changes that.
    return 409 if isinstance(error, Permanent) else 500


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    """Nobody reads this; the access log counts it."""
    return answer(400, "The client left before its request was whole.", "truncated")


def request_id_of(request: Request) -> str | None:
    """Return what the log calls the request."""
    told: str | None = request.scope.get("quayline.request_id")
    return told


def shown(text: str, most: int = 500) -> str:
    """Return a sentence that may repeat what strangers wrote, printable and of bounded length."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:most]


def _example(status: int) -> dict[str, Any]:
    reason = REASONS[status]
    return {
        "type": f"urn:quayline:problem:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": EXAMPLES.get(status, "The request failed."),
        "reason": reason,
        "request_id": "0193f7c2-7a51-7cc0-8f3e-0f4b3f6f2a10",
    }


EXAMPLES = {
    400: "The client left before its request was whole.",
    401: "A token is needed: Authorization: Bearer TOKEN.",
    403: "This needs the role operator; the token's role is submitter.",
    404: "There is no job 0193f7c2-7a51-7cc0-8f3e-0f4b3f6f2a10.",
    408: "Nothing came for 30 s.",
    409: "The idempotency key 'build-17' was used for another request.",
    413: "The body is larger than the limit of 1048576 bytes (QUAYLINE_API_MAX_BODY_BYTES).",
    415: "A job comes as multipart/form-data, application/json or an archive.",
    422: "body.kind: Field required",
    500: "The service made a mistake; its log tells more under this request_id.",
    503: "The database does not answer.",
}
