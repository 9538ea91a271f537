"""Where containers call back: heartbeats and the word of their end."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from pipeline import broker
from pipeline.core import executions
from pipeline.core.executions import Answer, Beat
from pipeline.core.kinds import get_kind
from pipeline.web.bodies import LimitedRoute, SmallRoute
from pipeline.web.callback_bodies import Answered, Completion, Heartbeat
from pipeline.web.callers import ExecutionToken, proven_run
from pipeline.web.problems import responses
from pipeline.web.service import Service, Serving

router = APIRouter(prefix="/monitoring", tags=["callbacks"], route_class=LimitedRoute)
small = APIRouter(route_class=SmallRoute)


@small.post("/heartbeat", responses=responses(401, 403, 408, 413))
async def heartbeat(told: Heartbeat, token: ExecutionToken, service: Serving) -> Answered:
    """Note a sign of life; the answer says whether to go on.

    A late one (its run has ended, or another has begun) is answered `ignored` and changes nothing.
    """
    run = await proven_run(service, token, told.execution_id)
    beat = Beat(told.execution_id, run, told.container_name, told.status, told.progress)
    answer = await service.beats.note(beat)
    service.figures.heartbeats.labels(_outcome(answer)).inc()
    return Answered.of(answer)


router.include_router(small)


@router.post("/completion", responses=responses(401, 403, 408, 413))
async def completion(told: Completion, token: ExecutionToken, service: Serving) -> Answered:
    """Note what the container says of its end, once; a second word of it is `ignored`.

    How the execution really ended is taken from the container itself when it has gone.
    """
    run = await proven_run(service, token, told.execution_id)
    answer = await run_in_threadpool(_complete, told, run, service)
    service.figures.completions.labels(_outcome(answer)).inc()
    return Answered.of(answer)


def _complete(told: Completion, run: int, service: Service) -> Answer:
    answer = executions.complete(
        told.execution_id,
        run,
        success=told.success,
        result=told.result_data or {},
        error=told.error_message,
        container_name=told.container_name,
    )
    if answer.live and service.heard:
        _ring(told)
    return answer


def _ring(told: Completion) -> None:
    """Let somebody look at the end now; a ring that is lost costs one look of the monitor."""
    kind = get_kind(executions.get(told.execution_id).kind)
    if kind.end_actor:
        broker.send([broker.message(kind.end_queue, kind.end_actor, str(told.execution_id))])


def _outcome(answer: Answer) -> str:
    return "noted" if answer.live else "ignored"
