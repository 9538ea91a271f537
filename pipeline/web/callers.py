"""Who calls: an API token with its role, or a container with the token of its execution."""

import uuid
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pipeline.core import executions
from pipeline.core.api_tokens import ApiToken, Role
from pipeline.web.entries import CALLER
from pipeline.web.problems import HttpProblem, unauthenticated
from pipeline.web.service import Service, Serving

#: Nobody's token is longer.
MOST_TOKEN = 200

_bearer = HTTPBearer(
    scheme_name="ApiToken",
    description="A token of `quayline token create`.",
    auto_error=False,
)
_container_bearer = HTTPBearer(
    scheme_name="ExecutionToken",
    description="The token of one execution, which its container is given; it may also ride in the"
    " path: /t/TOKEN/api/v1/…",
    auto_error=False,
)

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
ContainerCredentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_container_bearer)]


async def caller(request: Request, service: Serving, told: Credentials) -> ApiToken:
    """Return the API token of the request; 401 without one that is valid."""
    token = await known(service, secret_of(told))
    request.scope[CALLER] = token.owner
    return token


async def known(service: Service, secret: str) -> ApiToken:
    """Return the row of an API token; 401 when there is none that is valid."""
    token = service.tokens.remembered(secret) or await to_thread.run_sync(
        service.tokens.find, secret, limiter=service.lookups
    )
    if token is None:
        raise unauthenticated("The token is not known, was revoked or has expired.")
    return token


Caller = Annotated[ApiToken, Depends(caller)]


def needs(role: Role) -> Callable[[ApiToken], Coroutine[Any, Any, ApiToken]]:
    """Return a dependency that lets callers of this role, and of those above it, through."""

    async def allowed(token: Caller) -> ApiToken:
        if not token.role.may(role):
            raise HttpProblem(403, f"This needs the role {role}; the token's role is {token.role}.")
        return token

    return allowed


Operator = Annotated[ApiToken, Depends(needs(Role.OPERATOR))]
Admin = Annotated[ApiToken, Depends(needs(Role.ADMIN))]


def sees(token: ApiToken, owner: str) -> bool:
    """Tell whether the caller may see and change what belongs to that owner."""
    return token.owner == owner or token.role.may(Role.OPERATOR)


async def execution_token(request: Request, told: ContainerCredentials) -> str:
    """Return the token of a callback, from the path or from the header; 401 without one."""
    in_path: str | None = request.path_params.get("token")
    return in_path if in_path is not None else secret_of(told)


ExecutionToken = Annotated[str, Depends(execution_token)]


async def proven_run(service: Service, token: str, task_id: uuid.UUID) -> int:
    """Return the run that the token is for; 403 when it is not one of this execution."""
    run = await run_of(service, token, task_id)
    if run is None:
        raise HttpProblem(403, "The token is not one of this execution.")
    return run


async def run_of(service: Service, token: str, task_id: uuid.UUID) -> int | None:
    """Return the run of this execution that the token is for; None when it is for none."""
    if len(token) > MOST_TOKEN:
        return None
    if not executions.is_deployment_known():
        await to_thread.run_sync(executions.deployment, limiter=service.lookups)
    return executions.verify(token, task_id)


def secret_of(told: HTTPAuthorizationCredentials | None) -> str:
    """Return the token of the header; 401 without one."""
    if told is None or not told.credentials:
        raise unauthenticated("A token is needed: Authorization: Bearer TOKEN.")
    if len(told.credentials) > MOST_TOKEN:
        raise unauthenticated("The token is not known, was revoked or has expired.")
    return told.credentials
