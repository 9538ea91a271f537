"""How executions are: their last heartbeat, and where they stand."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from pipeline.core import executions
from pipeline.core.executions import Execution
from pipeline.errors import NotFound
from pipeline.web import job_rows
from pipeline.web.callback_bodies import ExecutionStatus, LastHeartbeat
from pipeline.web.callers import (
    ContainerCredentials,
    Credentials,
    execution_token,
    known,
    run_of,
    sees,
)
from pipeline.web.entries import CALLER
from pipeline.web.problems import responses
from pipeline.web.service import Serving

router = APIRouter(tags=["executions"])


async def seen(
    execution_id: uuid.UUID,
    request: Request,
    service: Serving,
    container: ContainerCredentials,
    _: Credentials,
) -> Execution:
    """Return the execution, for its own token and for API tokens that may see its job."""
    secret = await execution_token(request, container)
    if await run_of(service, secret, execution_id) is not None:
        return await run_in_threadpool(executions.get, execution_id)
    token = await known(service, secret)
    request.scope[CALLER] = token.owner
    found = await run_in_threadpool(executions.get, execution_id)
    if not sees(token, await run_in_threadpool(job_rows.owner, found.job_id)):
        raise NotFound(f"There is no execution {execution_id}.")
    return found


Seen = Annotated[Execution, Depends(seen)]


@router.get(
    "/monitoring/heartbeat/{execution_id}",
    responses=responses(401, 404),
)
async def last_heartbeat(execution: Seen) -> LastHeartbeat:
    """Return the last sign of life."""
    return LastHeartbeat.of(execution)


@router.get(
    "/task/execution/{execution_id}/status",
    responses=responses(401, 404),
)
async def execution_status(execution: Seen) -> ExecutionStatus:
    """Return where the execution stands."""
    return ExecutionStatus.of(execution)
